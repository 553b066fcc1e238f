"""Reading an agreement as a whole, before anyone signs it: what is wrong, what a new version changes, what it says."""
