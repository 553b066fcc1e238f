"""What the body of each message type must look like, and how a new version compares with the old one. Pure."""
