"""A SageMaker service plugged into the emulator: models, the model registry, transform and training jobs."""
