"""Step Functions with what the emulator's interpreter lacks: SageMaker's jobs, the role's permissions, stopping."""
