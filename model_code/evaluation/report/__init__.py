"""The report for people: evaluation/1 as one HTML file that needs nothing else."""
