"""The exception of a frame that cannot be decoded."""

from __future__ import annotations


class Undecodable(ValueError):
    """A frame cannot be decoded; the message says why, without any text of the object."""
