"""The express lane of a running local cloud, switched on and off as another deployment would."""

from __future__ import annotations

from wetread.connection import Connection


def switch(connection: Connection, *, on: bool) -> None:
    """Let the service read few uploads in the express lane, or all by transform jobs."""
    functions = connection.client("lambda")
    pages = functions.get_paginator("list_functions").paginate()
    for one in (one for page in pages for one in page["Functions"]):
        known = one.get("Environment", {}).get("Variables", {})
        if "EXPRESS" in known:
            changed = known | {"EXPRESS": str(on)}
            functions.update_function_configuration(
                FunctionName=one["FunctionName"], Environment={"Variables": changed}
            )
