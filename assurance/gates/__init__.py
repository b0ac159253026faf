"""Simulates test sets with known truth, and runs the product's own evaluation and model gate on them."""
