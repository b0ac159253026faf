"""What a stage admits, from its settings: the same for uploads and for the slices that a model is trained on."""

from __future__ import annotations

from functions.domain.instance import Served
from functions.settings import IngestSettings, SnapshotSettings


def served(settings: IngestSettings | SnapshotSettings) -> Served:
    """The rules by which an object is admitted."""
    return Served(
        sop_class_uids=frozenset(settings.sop_class_uids),
        modalities=frozenset(settings.modalities),
        transfer_syntax_uids=frozenset(settings.transfer_syntax_uids),
        max_object_bytes=settings.max_object_bytes,
        conformance=settings.conformance,
    )
