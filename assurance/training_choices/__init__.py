"""Choices in training, each on and off from the same seeds: what helps on phantoms, and does no harm on real slices."""
