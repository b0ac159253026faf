"""What a smoke test costs at most, by list price: hosts by the minute; requests and storage are below a cent."""

from __future__ import annotations

from dataclasses import dataclass

AS_OF = "us-east-1, November 2026"
HOUR = {"ml.m5.xlarge": 0.23, "ml.m5.2xlarge": 0.461}
"""SageMaker's price of a host for an hour, in USD, of the types that a default stage uses."""


@dataclass(frozen=True)
class Use:
    """Minutes of a host, start-up included: an estimate, since nobody has measured it on AWS."""

    purpose: str
    instance_type: str
    minutes: float


def uses(transform_type: str, training_type: str, processing_type: str) -> list[Use]:
    """Return the hosts that a smoke test starts."""
    return [
        Use("two transform jobs", transform_type, 10),
        Use("audit, optimisation, evaluation", processing_type, 15),
        Use("training job", training_type, 6),
        Use("endpoint", transform_type, 10),
    ]


def estimate(hosts: list[Use]) -> str:
    """Return the estimate in words; hosts without a known price are named with their minutes."""
    known = sum(HOUR[one.instance_type] * one.minutes / 60 for one in hosts if one.instance_type in HOUR)
    unknown = [f"{one.minutes:g} minutes of {one.instance_type}" for one in hosts if one.instance_type not in HOUR]
    said = f"about ${known:.2f} by list price ({AS_OF})"
    return f"{said}, and {', '.join(unknown)}, whose price is not known here" if unknown else said
