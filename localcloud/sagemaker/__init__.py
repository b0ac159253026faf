"""SageMaker as a service of the emulator: models, the model registry, jobs, and real-time endpoints."""
