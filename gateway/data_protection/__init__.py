"""What becomes of stored messages and of the people in them: holds, erasure on request, a person's requests."""
