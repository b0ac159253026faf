"""Builds the container image without docker, and checks it as SageMaker would use it."""
