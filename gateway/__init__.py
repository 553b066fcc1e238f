"""Sinergi: an inter-agency data exchange gateway. The map of the package is docs/explanation/message-flow.md."""

__version__ = "0.1.0"
