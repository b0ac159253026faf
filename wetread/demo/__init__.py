"""The demo: synthetic chest CT slices, objects that must be refused, and the script that shows the service."""

FOLDER = "demo"
"""The demo's folder, below the local cloud's home."""
