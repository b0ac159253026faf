"""Serving, measured: ``python -m benchmarks.serving``."""
