"""The image's command as a process, run as SageMaker runs a container."""
