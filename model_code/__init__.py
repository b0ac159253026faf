"""What runs in SageMaker: one container image with the commands ``serve`` and ``train`` for a CT slice classifier."""
