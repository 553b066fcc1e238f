"""Whose key was valid when: agencies, certificates, the gateway's own keys over time, and the history of them all. Pure."""
