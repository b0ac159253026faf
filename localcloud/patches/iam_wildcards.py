"""IAM's wildcards match any character, a line break too: the emulator's stop at one, and match before a last one.

Keys of objects may have line breaks; a role that may read `uploads/*` may read them on AWS.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

from localcloud.patches.seam import replace

_WILDCARDS = {"*": ".*", "?": "."}


def install() -> None:
    """Replace what turns a pattern of IAM into a regular expression."""
    replace("core.iam_evaluator", "_fnmatch_compile", ("pattern", "ignore_case"), _any_character)


def _any_character(_original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.lru_cache(maxsize=4096)
    def fnmatch_compile(pattern: str, ignore_case: bool) -> re.Pattern[str]:
        expression = "".join(_WILDCARDS.get(letter) or re.escape(letter) for letter in pattern)
        return re.compile(rf"{expression}\Z", re.DOTALL | (re.IGNORECASE if ignore_case else 0))

    return fnmatch_compile
