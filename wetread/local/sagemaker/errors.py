"""The errors that the service answers with, by SageMaker's own codes."""

from __future__ import annotations


class ServiceError(Exception):
    """An operation is refused."""

    def __init__(self, code: str, message: str, status: int = 400):
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def invalid(message: str) -> ServiceError:
    """A request that breaks a rule, or names something that does not exist."""
    return ServiceError("ValidationException", message)


def not_found(message: str = "Requested resource not found.") -> ServiceError:
    """A job or resource that is not there."""
    return ServiceError("ResourceNotFound", message)
