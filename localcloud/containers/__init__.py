"""Runs the model's container command as a process, as SageMaker runs its image."""
