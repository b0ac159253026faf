"""The errors that the service answers with, by SageMaker's own codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ServiceError(Exception):
    """An operation is refused; `members` are what the API tells besides the message."""

    def __init__(self, code: str, message: str, status: int = 400, members: Mapping[str, Any] | None = None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.members = dict(members or {})


def invalid(message: str) -> ServiceError:
    """A request that breaks a rule, or names something that does not exist."""
    return ServiceError("ValidationException", message)


def not_found(message: str = "Requested resource not found.") -> ServiceError:
    """A job or resource that is not there."""
    return ServiceError("ResourceNotFound", message)
