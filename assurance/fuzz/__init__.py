"""A coverage-guided fuzz of both readers: ``python -m assurance.fuzz``."""
