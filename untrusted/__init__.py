"""Bounded readers of untrusted bytes, and what they say of a picture; for Lambda, container and local cloud.

The standard library is all that they need.
"""
