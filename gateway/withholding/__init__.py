"""What stays behind of a released message, and whether what goes out tells it all the same. Pure."""
