"""Mends of the emulator: one module for each difference from AWS that this product would notice.

Every mend touches private names, so each checks them when it is installed and says what to do if they have changed.
"""

from __future__ import annotations

from localcloud.patches import (
    alarm_states,
    conditional_writes,
    copy_checksum,
    created_settings,
    encryption_keys,
    event_targets,
    execution_history,
    execution_start,
    expressions,
    function_sessions,
    iam_wildcards,
    log_streams,
    object_events,
    object_versions,
    queue_mappings,
    queue_messages,
    queue_redrive,
    secure_transport,
    state_outputs,
    state_retries,
    version_ranges,
)
from localcloud.patches.seam import MendError, check_version

__all__ = ["MendError", "install"]


def install(*, lambda_concurrency: int) -> None:
    """Install every mend; raise MendError if the installed emulator is not the one they fit."""
    check_version()
    for mend in (
        secure_transport,
        function_sessions,
        copy_checksum,
        object_versions,
        object_events,
        encryption_keys,
        conditional_writes,
        queue_messages,
        queue_redrive,
        event_targets,
        created_settings,
        expressions,
        iam_wildcards,
        log_streams,
        execution_start,
        execution_history,
        state_outputs,
        state_retries,
        version_ranges,
        alarm_states,
    ):
        mend.install()
    queue_mappings.install(lambda_concurrency)
