"""Whether a message may pass under an agreement, and how much of it. Pure."""
