"""In place of the network: checks each request against botocore's shapes and lets a test interfere."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.validate import validate_parameters

_session = botocore.session.get_session()


@functools.cache
def _operations(service: str) -> dict[str, Any]:
    model = _session.get_service_model(service)
    return {xform_name(name): model.operation_model(name).input_shape for name in model.operation_names}


def client_error(code: str, message: str = "", **more: Any) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}, **more}, "Operation")  # type: ignore[typeddict-item]


class Wire:
    """A fake service behind request validation; ``interfere(operation, when)`` is called before and after each call."""

    def __init__(
        self, service: str, fake: Any, interfere: Callable[[str, str], None] = lambda _operation, _when: None
    ) -> None:
        self._service = service
        self._fake = fake
        self.interfere = interfere
        self._validated: set[Any] = set()

    def __getattr__(self, operation: str) -> Any:
        if operation == "get_paginator":
            return lambda name: _Paginator(getattr(self, name))
        method = getattr(self._fake, operation)
        shape = _operations(self._service)[operation]

        def call(**parameters: Any) -> Any:
            form = operation, _shape(parameters)
            if form not in self._validated:
                validate_parameters(_as_sent(parameters), shape)
                self._validated.add(form)
            self.interfere(operation, "before")
            answer = method(**parameters)
            self.interfere(operation, "after")
            return answer

        return call


def _shape(value: Any) -> Any:
    """Return all that validation checks: names, types and presence. A simulation repeats few requests often."""
    kind = type(value)
    if kind is dict:
        return tuple([(name, _shape(one)) for name, one in value.items()])
    if kind is list or kind is tuple:
        return kind, frozenset([_shape(one) for one in value])
    return kind, bool(value)


def _as_sent(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters as botocore validates them, with a CopySource map turned into text."""
    return {name: str(value) if name == "CopySource" else value for name, value in parameters.items()}


class _Paginator:
    """All fakes answer in one page; the page size is the paginator's own, not the request's."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self._method = method

    def paginate(self, **parameters: Any) -> list[Any]:
        parameters.pop("PaginationConfig", None)
        return [self._method(**parameters)]
