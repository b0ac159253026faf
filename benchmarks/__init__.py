"""Each module prints a table with ratios from one run: ``python -m benchmarks.<name>``."""
