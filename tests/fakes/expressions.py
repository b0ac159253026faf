"""Evaluates the DynamoDB condition, key-condition and update expressions that the product uses."""

from __future__ import annotations

import functools
import re
from typing import Any

TOKEN = re.compile(r"\s*(<>|<=|>=|[=<>(),+]|[#:]?\w+)")
Item = dict[str, Any]


@functools.cache
def tokens_of(text: str) -> tuple[str, ...]:
    """Return the tokens of an expression; the product has few expressions, and a simulation evaluates them often."""
    return tuple(TOKEN.findall(text))


@functools.cache
def used_in(text: str) -> frozenset[str]:
    """Return the names and values that an expression uses, with their # and :."""
    return frozenset(token for token in tokens_of(text) if token[0] in "#:")


class Expression:
    """One expression with its names and values; values are DynamoDB attribute values."""

    def __init__(self, text: str, names: dict[str, str] | None, values: dict[str, Any] | None) -> None:
        self._tokens = tokens_of(text)
        self._names = names or {}
        self._values = values or {}
        self._at = 0

    def holds(self, item: Item) -> bool:
        self._at = 0
        result = self._or(item)
        assert self._at == len(self._tokens), f"unread: {self._tokens[self._at :]}"
        return result

    def apply(self, item: Item) -> Item:
        changed = dict(item)
        self._at = 0
        clause = ""
        while self._at < len(self._tokens):
            token = self._next()
            if token in {"SET", "REMOVE", "ADD", "DELETE"}:
                clause = token
            elif token == ",":
                continue
            else:
                self._change(clause, self._names.get(token, token), item, changed)
        return changed

    def _change(self, clause: str, name: str, item: Item, changed: Item) -> None:
        if clause == "REMOVE":
            changed.pop(name, None)
        elif clause in {"ADD", "DELETE"} and "SS" in self._values[self._peek()]:
            members, given = set(item.get(name, {"SS": []})["SS"]), set(self._values[self._next()]["SS"])
            left = members | given if clause == "ADD" else members - given
            changed.pop(name, None)
            changed |= {name: {"SS": sorted(left)}} if left else {}
        elif clause == "ADD":
            step = int(self._values[self._next()]["N"])
            changed[name] = {"N": str(int(item.get(name, {"N": "0"})["N"]) + step)}
        else:
            assert self._next() == "="
            changed[name] = self._operand(item)

    def _or(self, item: Item) -> bool:
        result = self._and(item)
        while self._peek() == "OR":
            self._next()
            result = self._and(item) or result
        return result

    def _and(self, item: Item) -> bool:
        result = self._primary(item)
        while self._peek() == "AND":
            self._next()
            result = self._primary(item) and result
        return result

    def _primary(self, item: Item) -> bool:
        token = self._peek()
        if token == "(":
            self._next()
            result = self._or(item)
            assert self._next() == ")"
            return result
        if token in {"attribute_exists", "attribute_not_exists"}:
            self._next()
            assert self._next() == "("
            name = self._next()
            assert self._next() == ")"
            return (self._names.get(name, name) in item) == (token == "attribute_exists")
        if token == "begins_with":
            return self._begins_with(item)
        return self._comparison(item)

    def _begins_with(self, item: Item) -> bool:
        self._next()
        assert self._next() == "("
        name = self._next()
        assert self._next() == ","
        prefix = self._values[self._next()]["S"]
        assert self._next() == ")"
        value: str | None = item.get(self._names.get(name, name), {}).get("S")
        return value is not None and value.startswith(prefix)

    def _comparison(self, item: Item) -> bool:
        left, operator = self._operand(item), self._next()
        if operator == "IN":
            assert self._next() == "("
            among = [self._operand(item)]
            while self._next() == ",":
                among.append(self._operand(item))
            return left in among
        if operator == "BETWEEN":
            low = self._operand(item)
            assert self._next() == "AND"
            high = self._operand(item)
            return left is not None and _plain(low) <= _plain(left) <= _plain(high)
        assert operator in {"=", "<"}, operator
        right = self._operand(item)
        if operator == "<":
            return left is not None and _plain(left) < _plain(right)
        return left is not None and left == right

    def _operand(self, item: Item) -> Any:
        token = self._next()
        if token == "if_not_exists":
            assert self._next() == "("
            name = self._next()
            assert self._next() == ","
            other = self._operand(item)
            assert self._next() == ")"
            return item.get(self._names.get(name, name), other)
        return self._values[token] if token[0] == ":" else item.get(self._names.get(token, token))

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token


def _plain(value: dict[str, Any]) -> Any:
    (kind, content), *_ = value.items()
    return float(content) if kind == "N" else content
