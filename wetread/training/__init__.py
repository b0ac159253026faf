"""Runs of the training workflow and experiments: cohorts, starts, following, reports."""
