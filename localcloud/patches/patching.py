"""Access to the emulator's private names, checked when a patch is installed, so that a changed emulator is reported."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
from collections.abc import Callable
from typing import Any

MINISTACK_VERSION = "1.5.33"
_ADVICE = (
    f"Install ministack=={MINISTACK_VERSION} (pip install -c constraints.txt ministack), or adapt the patch to it."
)


class PatchError(Exception):
    """The emulator is not the release that the patches fit; the message names what is missing."""


def check_version() -> None:
    """Raise PatchError unless exactly the known release of the emulator is installed."""
    installed = importlib.metadata.version("ministack")
    if installed != MINISTACK_VERSION:
        raise PatchError(f"MiniStack {installed} is installed, but its patches fit {MINISTACK_VERSION}. {_ADVICE}")


def emulator(module: str, *names: str) -> Any:
    """Import and return `ministack.<module>`; raise PatchError with what to do unless it has all `names`."""
    imported = importlib.import_module(f"ministack.{module}")
    for name in names:
        _member(imported, name)
    return imported


def replace(
    module: str, name: str, parameters: tuple[str, ...], build: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> None:
    """Replace the function `ministack.<module>.<name>` with `build(original)`.

    `parameters` are the names of the original's parameters; raise PatchError if they have changed.
    """
    owner = emulator(module)
    original = _member(owner, name)
    found = tuple(inspect.signature(original).parameters)
    if found != parameters:
        raise PatchError(f"MiniStack's {module}.{name} takes {found}, where {parameters} was expected. {_ADVICE}")
    setattr(owner, name, build(original))


def replace_handler(resource_type: str, event: str, build: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace CloudFormation's handler of a resource type's create, update or delete with `build(original)`."""
    handlers = emulator("services.cloudformation.provisioners", "_RESOURCE_HANDLERS")._RESOURCE_HANDLERS
    if event not in handlers.get(resource_type, {}):
        raise PatchError(f"MiniStack's CloudFormation has no {event} handler of {resource_type}. {_ADVICE}")
    handlers[resource_type] = {**handlers[resource_type], event: build(handlers[resource_type][event])}


def _member(module: Any, name: str) -> Any:
    try:
        return getattr(module, name)
    except AttributeError:
        raise PatchError(f"MiniStack's module {module.__name__} has no {name}. {_ADVICE}") from None
