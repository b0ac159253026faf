"""The errors of the service, with SageMaker's codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ServiceError(Exception):
    """An operation is refused; `members` are what the API returns besides the message."""

    def __init__(self, code: str, message: str, status: int = 400, members: Mapping[str, Any] | None = None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.members = dict(members or {})


def invalid(message: str) -> ServiceError:
    """Return the error of a request that breaks a rule, or names a resource that does not exist."""
    return ServiceError("ValidationException", message)


def not_found(message: str = "Requested resource not found.") -> ServiceError:
    """Return the error of a job or resource that does not exist."""
    return ServiceError("ResourceNotFound", message)
