"""Bounded readers of untrusted bytes, shared by Lambda, container and local cloud; stdlib only."""
