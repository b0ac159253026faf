"""A SageMaker service plugged into the emulator: models, the model registry, jobs, and real-time endpoints."""
