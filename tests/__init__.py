"""A regular package: a dependency of the SageMaker SDK brings one of the same name, which would hide a namespace."""
