"""What the agency's side rests on: `client.py` and `endpoint.py` are its two doors."""
