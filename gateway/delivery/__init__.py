"""Bringing messages to their recipients, and bringing their signed receipts home."""
