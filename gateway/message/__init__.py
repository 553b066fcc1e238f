"""The signed message: its claims, its disclosable parts, its bytes. Pure."""
