"""What is kept: tables, the one write path (`recorder.py`) and named reads (`queries.py`)."""
