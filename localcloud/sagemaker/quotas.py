"""SageMaker's instance quotas: one for each instance type and use, by the name that Service Quotas gives it.

A new AWS account has 0 of most of them. The names are those of AWS's own refusals and of `list-service-quotas`, such as
"ml.m5.xlarge for transform job usage".
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping

from localcloud.options import OptionError
from localcloud.sagemaker.shapes import service_model

# The enum of botocore's model that has the instance types of each use.
_TYPES = {
    "transform job": "TransformInstanceType",
    "training job": "TrainingInstanceType",
    "processing job": "ProcessingInstanceType",
    "endpoint": "ProductionVariantInstanceType",
}


class Quotas:
    """The value of each quota: `default`, unless the option `sagemaker_quotas` has another."""

    def __init__(self, text: str, default: int):
        """Read `NAME=NUMBER` pairs, separated by commas; raise OptionError for an unknown name or a bad number."""
        self._default = default
        self._own = dict(_pair(item) for item in filter(None, map(str.strip, text.split(","))))

    def own(self, name: str) -> int | None:
        """Return the value that was set for a quota; None if it has the default."""
        return self._own.get(name)

    def all(self) -> Mapping[str, int]:
        """Return every quota's value by its name."""
        return {name: self._own.get(name, self._default) for name in names()}

    def defaults(self) -> Mapping[str, int]:
        """Return the value that every quota has until another is set, by its name."""
        return dict.fromkeys(names(), self._default)


def name_of(instance_type: str, usage: str) -> str:
    """Return the name of a quota. `usage` is "transform job" or similar."""
    return f"{instance_type} for {usage} usage"


@functools.cache
def names() -> tuple[str, ...]:
    """Return the names of all quotas."""
    return tuple(
        name_of(instance_type, usage)
        for usage, shape in _TYPES.items()
        for instance_type in service_model().shape_for(shape).enum
    )


def code_of(name: str) -> str:
    """Return a code of AWS's form for a quota. Its digits are not AWS's."""
    return f"L-{hashlib.sha256(name.encode()).hexdigest()[:8].upper()}"


def _pair(item: str) -> tuple[str, int]:
    name, _, number = (part.strip() for part in item.partition("="))
    if name not in names():
        raise OptionError(
            f"SAGEMAKER_QUOTAS names {name!r}, which is no quota. Write, for example, "
            "'ml.m5.xlarge for transform job usage=0'."
        )
    if not number.isdecimal():
        raise OptionError(f"SAGEMAKER_QUOTAS has {number!r} for {name!r}, where a whole number is expected.")
    return name, int(number)
