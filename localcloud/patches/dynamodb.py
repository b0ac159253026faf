"""DynamoDB: an expression is parsed once; the emulator parses it again for every item that a Query looks at.

With thousands of pending rows the parser took more processor time than everything else. The emulator still evaluates
expressions, except `name = :value` with a string, the whole condition of most queries.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

from localcloud.patches.patching import replace

_KEPT = 512
_EVALUATE_PARAMETERS = ("expr", "item", "attr_values", "attr_names", "slot")
_EQUALITY = re.compile(r"\s*(?P<name>#?[A-Za-z_]\w*)\s*=\s*(?P<value>:\w+)\s*")


def install() -> None:
    """Cache the parsers' results, which depend on the text alone, and shorten the simplest expression."""
    replace("services.dynamodb", "_tokenize", ("expr",), _remembered_tokens)
    replace("services.dynamodb", "_condition_syntax_error", ("expr", "slot"), functools.lru_cache(_KEPT))
    replace("services.dynamodb", "_evaluate_condition", _EVALUATE_PARAMETERS, _short_equality)


def _remembered_tokens(original: Callable[..., Any]) -> Callable[..., Any]:
    remembered = functools.lru_cache(_KEPT)(original)

    def tokenize(expr: str) -> list[Any]:
        return list(remembered(expr))  # the caller may change it

    return tokenize


def _short_equality(original: Callable[..., Any]) -> Callable[..., Any]:
    match = functools.lru_cache(_KEPT)(_EQUALITY.fullmatch)

    def evaluate_condition(
        expr: str,
        item: dict[str, Any],
        attr_values: dict[str, Any],
        attr_names: dict[str, str],
        slot: str = "ConditionExpression",
    ) -> Any:
        equality = match(expr) if slot == "KeyConditionExpression" else None
        value = (attr_values or {}).get(equality["value"]) if equality else None
        if equality is None or value is None or "S" not in value:
            return original(expr, item, attr_values, attr_names, slot)
        name = equality["name"]
        return item.get((attr_names or {}).get(name, name)) == value

    return evaluate_condition
