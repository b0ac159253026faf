"""The report on a run's data for people: audit/2 as one HTML file that needs nothing else."""
