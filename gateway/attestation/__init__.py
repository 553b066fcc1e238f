"""What others attest of our checkpoints, and what happens while they do not: witnesses, timestamps, long-lived signatures.

Nothing here is on the way of a commit: a checkpoint is signed and committed first, and shown to others after it.
"""
