"""Fault drills on a running local cloud: what was broken, what was seen, what was lost, and how long it took."""
