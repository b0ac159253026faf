"""The classes that the model tells apart, in the order of its outputs."""

from __future__ import annotations

# What a training job uses that names no labels of its own: healthy, community-acquired pneumonia, COVID-19.
DEFAULT_LABELS = ("normal", "cap", "covid")


def parse_labels(text: str) -> tuple[str, ...]:
    """Split comma-separated class names; raise ValueError for fewer than two, empty or repeated ones."""
    labels = tuple(label.strip() for label in text.split(","))
    if len(labels) < 2 or len(set(labels)) < len(labels) or not all(labels):
        raise ValueError(f"{text!r} does not name two or more different classes, such as 'normal,cap,covid'")
    return labels
