"""The page that people look at: evaluation/1 as one HTML file that needs nothing else."""
