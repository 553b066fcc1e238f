"""Every signed statement but the message itself: receipts, tokens, and what officers and operators put their key to. Pure."""
