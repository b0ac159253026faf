"""Check requests against SageMaker's API model, which botocore contains, so that what AWS refuses is refused."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

import botocore.session
from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape

from localcloud.sagemaker.errors import ServiceError, invalid

# Java's Unicode classes, which Python's re lacks, and their nearest equivalents.
_JAVA_CLASSES = {r"\p{L}": r"\w", r"\p{N}": r"\w", r"\p{M}": r"\w", r"\p{Z}": r"\s", r"\p{S}": r"\W", r"\p{P}": r"\W"}
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "timestamp": (int, float, str),
    "list": (list,),
    "map": (dict,),
    "structure": (dict,),
}


@functools.cache
def service_model() -> Any:
    """Return SageMaker's service model."""
    return botocore.session.get_session().get_service_model("sagemaker")


def check(operation: str, parameters: dict[str, Any]) -> None:
    """Raise ServiceError for an unknown operation, or a ValidationException that lists every problem."""
    if operation not in service_model().operation_names:
        raise ServiceError("UnknownOperationException", f"SageMaker has no operation {operation}.")
    shape = service_model().operation_model(operation).input_shape
    found = list(_problems(shape, parameters, "")) if shape is not None else []
    if found:
        noun = "error" if len(found) == 1 else "errors"
        raise invalid(f"{len(found)} validation {noun} detected: {'; '.join(found)}")


def _problems(shape: Shape, value: Any, where: str) -> Iterator[str]:
    expected = _TYPES.get(shape.type_name, (object,))
    if not _has_type(value, expected):
        yield _failed(value, where, f"Member must be a {shape.type_name}")
    elif isinstance(shape, StructureShape):
        yield from _structure_problems(shape, value, where)
    elif isinstance(shape, ListShape):
        yield from _range_problems(shape, len(value), value, where, "length")
        for index, member in enumerate(value, 1):
            yield from _problems(shape.member, member, f"{where}.{index}.member")
    elif isinstance(shape, MapShape):
        yield from _range_problems(shape, len(value), value, where, "length")
        for key, member in value.items():
            yield from _problems(shape.key, key, f"{where}.key")
            yield from _problems(shape.value, member, f"{where}.{key}")
    elif isinstance(shape, StringShape):
        yield from _string_problems(shape, value, where)
    elif isinstance(value, (int, float)):
        yield from _range_problems(shape, value, value, where, "value")


def _has_type(value: Any, expected: tuple[type, ...]) -> bool:
    return isinstance(value, expected) and (bool in expected or not isinstance(value, bool))


def _structure_problems(shape: StructureShape, value: dict[str, Any], where: str) -> Iterator[str]:
    for name in shape.required_members:
        if value.get(name) is None:
            yield _failed(None, _below(where, name), "Member must not be null")
    for name, member in value.items():
        if name not in shape.members:
            yield f"Unknown parameter '{_below(where, name)}'"
        elif member is not None:
            yield from _problems(shape.members[name], member, _below(where, name))


def _string_problems(shape: StringShape, value: str, where: str) -> Iterator[str]:
    if shape.enum and value not in shape.enum:
        yield _failed(value, where, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
    yield from _range_problems(shape, len(value), value, where, "length")
    pattern = shape.metadata.get("pattern")
    if pattern and not re.fullmatch(_translated(pattern), value):
        yield _failed(value, where, f"Member must satisfy regular expression pattern: {pattern}")


def _range_problems(shape: Shape, size: float, value: Any, where: str, what: str) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < least:
        yield _failed(value, where, f"Member must have {what} greater than or equal to {least}")
    if most is not None and size > most:
        yield _failed(value, where, f"Member must have {what} less than or equal to {most}")


def _failed(value: Any, where: str, constraint: str) -> str:
    return f"Value '{'null' if value is None else value}' at '{where}' failed to satisfy constraint: {constraint}"


def _below(where: str, name: str) -> str:
    """Return the path of a member, spelled as in AWS's messages."""
    return f"{where}.{name[0].lower()}{name[1:]}".lstrip(".")


@functools.cache
def _translated(pattern: str) -> re.Pattern[str]:
    for java, python in _JAVA_CLASSES.items():
        pattern = pattern.replace(java, python)
    # Java lets an anchor be repeated ("$" before "{1,128}", in the pattern of model package properties); re does not.
    return re.compile(re.sub(r"\$\{\d+,\d+\}", "", pattern))
