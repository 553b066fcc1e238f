"""The parts of scripts/make_docs.py: one module a kind of page."""
