"""The command `sinergi`: one file a command group. Nothing here decides anything; it asks, and says what came back."""
