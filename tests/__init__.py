"""A regular package: a dependency of the SageMaker SDK has one of the same name, which hides namespace packages."""
