"""The demo: synthetic chest CT slices, objects that must be refused, and the story that shows the service at work."""

FOLDER = "demo"
"""Where the demo keeps what it makes, below the local cloud's home."""
