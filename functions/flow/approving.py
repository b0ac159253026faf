"""From a person's approval of a version to its promotion: once, and only while its evaluation is valid."""

from __future__ import annotations

import enum
import logging
from dataclasses import dataclass

from functions.aws.registry import ModelVersion, Registry
from functions.domain.champion import champion_changed, is_champion
from functions.domain.errors import Overtaken

logger = logging.getLogger(__name__)


class Approved(enum.Enum):
    """The result of an approval event."""

    PROMOTED = enum.auto()
    NOTHING_TO_DO = enum.auto()
    REFUSED = enum.auto()


@dataclass(frozen=True, kw_only=True)
class Approving:
    """Handles approvals. The event only names the version: SageMaker repeats events, and late ones are out of date."""

    registry: Registry

    def approve(self, arn: str) -> Approved:
        """Promote the version if it is approved, was never champion, and its evaluation is valid.

        Reads the champion first, then the history, so that a promotion in between is still seen. Raises Overtaken if
        the champion changed before the pointer moved.
        """
        version, current = self.registry.describe(arn), self.registry.champion()
        ours = version.model_package.startswith(f"{self.registry.group}/")
        if not ours or version.approval != "Approved" or self.registry.champions.promotion(version.model_package):
            return Approved.NOTHING_TO_DO
        if not version.run:
            return self._refuse(version, "it was registered by hand and never evaluated: use `wetread model promote`")
        if not is_champion(current, version.evaluated_against):
            reason = champion_changed(version.model_package, version.evaluated_against)
            self.registry.reject(arn, reason.message)  # so that people do not take it for a version that serves
            return self._refuse(version, reason.message)
        if self.registry.set_champion(version, current, version.standing) is None:
            raise Overtaken(version.model_package)
        return Approved.PROMOTED

    def _refuse(self, version: ModelVersion, why: str) -> Approved:
        logger.warning("approval without promotion", extra={"model_package": version.model_package, "reason": why})
        return Approved.REFUSED
