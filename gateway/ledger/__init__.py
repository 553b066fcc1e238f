"""The evidence: entries, the Merkle tree over them, tiles, checkpoints and proofs, to RFC 6962 and C2SP.

Pure: bytes and values in, values out. Who appends, stores and serves is `store/` and `api/`; only `source.py` reads
files or a network, for the audit of a published ledger. The bytes are described in docs/reference/ledger-format.md.
"""
