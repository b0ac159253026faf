"""Evaluates the DynamoDB condition, key-condition and update expressions that the product uses.

An expression is read once, into functions of its names, its values and an item: a simulation evaluates few often.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

TOKEN = re.compile(r"\s*(<>|<=|>=|[=<>(),+]|[#:]?\w+)")
Item = dict[str, Any]
Names = Mapping[str, str]
Values = Mapping[str, Any]
Holds = Callable[[Names, Values, Mapping[str, Any]], bool]
Operand = Callable[[Names, Values, Mapping[str, Any]], Any]
Change = Callable[[Names, Values, Mapping[str, Any], Item], None]


@functools.cache
def used_in(text: str) -> frozenset[str]:
    """Return the names and values that an expression uses, with their # and :."""
    return frozenset(token for token in TOKEN.findall(text) if token[0] in "#:")


class Expression:
    """One expression with its names and values; values are DynamoDB attribute values."""

    def __init__(self, text: str, names: Names | None, values: Values | None) -> None:
        self._text = text
        self._names = names or {}
        self._values = values or {}

    def holds(self, item: Item) -> bool:
        return _condition(self._text)(self._names, self._values, item)

    def among(self, items: list[Item]) -> list[Item]:
        """Return the items for which a condition holds."""
        holds, names, values = _condition(self._text), self._names, self._values
        return [item for item in items if holds(names, values, item)]

    def apply(self, item: Item) -> Item:
        changed = dict(item)
        for change in _changes(self._text):
            change(self._names, self._values, item, changed)
        return changed


@functools.cache
def _condition(text: str) -> Holds:
    reader = _Reader(text)
    condition = reader.any_of()
    reader.end()
    return condition


@functools.cache
def _changes(text: str) -> list[Change]:
    reader, clause, changes = _Reader(text), "", []
    while token := reader.next():
        if token in {"SET", "REMOVE", "ADD", "DELETE"}:
            clause = token
        elif token != ",":
            changes.append(reader.change(clause, token))
    return changes


class _Reader:
    """Reads the tokens of an expression from left to right."""

    def __init__(self, text: str) -> None:
        self._tokens = TOKEN.findall(text)
        self._at = 0

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def next(self) -> str:
        token = self.peek()
        self._at += 1
        return token

    def skip(self, expected: str) -> None:
        token = self.next()
        assert token == expected, f"{expected!r} is expected before {self._tokens[self._at :]}"

    def end(self) -> None:
        assert self._at == len(self._tokens), f"unread: {self._tokens[self._at :]}"

    def any_of(self) -> Holds:
        first, *others = self._parts(self.all_of, "OR")
        return (lambda n, v, item: True in [one(n, v, item) for one in (first, *others)]) if others else first

    def all_of(self) -> Holds:
        first, *others = self._parts(self.primary, "AND")
        return (lambda n, v, item: False not in [one(n, v, item) for one in (first, *others)]) if others else first

    def _parts(self, part: Callable[[], Holds], joined_by: str) -> list[Holds]:
        parts = [part()]
        while self.peek() == joined_by:
            self.next()
            parts.append(part())
        return parts

    def primary(self) -> Holds:
        token = self.peek()
        if token == "(":
            self.next()
            inner = self.any_of()
            self.skip(")")
            return inner
        if token in {"attribute_exists", "attribute_not_exists"}:
            (name,), wanted = self._arguments(1), token == "attribute_exists"
            return lambda n, _v, item: (n.get(name, name) in item) == wanted
        if token == "begins_with":
            name, prefix = self._arguments(2)
            return lambda n, v, item: _begins(item.get(n.get(name, name)), v[prefix]["S"])
        return self.comparison()

    def _arguments(self, number: int) -> list[str]:
        self.next()
        self.skip("(")
        arguments = [self.next()]
        while len(arguments) < number:
            self.skip(",")
            arguments.append(self.next())
        self.skip(")")
        return arguments

    def comparison(self) -> Holds:
        left, operator = self.operand(), self.next()
        if operator == "IN":
            return self._membership(left)
        if operator == "BETWEEN":
            return self._range(left)
        assert operator in {"=", "<"}, operator
        right = self.operand()
        return _less(left, right) if operator == "<" else _equal(left, right)

    def _membership(self, left: Operand) -> Holds:
        self.skip("(")
        among = [self.operand()]
        while self.next() == ",":
            among.append(self.operand())
        return lambda n, v, item: left(n, v, item) in [one(n, v, item) for one in among]

    def _range(self, left: Operand) -> Holds:
        low = self.operand()
        self.skip("AND")
        high = self.operand()

        def holds(n: Names, v: Values, item: Mapping[str, Any]) -> bool:
            found = left(n, v, item)
            return found is not None and bool(_plain(low(n, v, item)) <= _plain(found) <= _plain(high(n, v, item)))

        return holds

    def operand(self) -> Operand:
        token = self.next()
        if token == "if_not_exists":
            self.skip("(")
            name = self.next()
            self.skip(",")
            other = self.operand()
            self.skip(")")
            return lambda n, v, item: item.get(n.get(name, name), other(n, v, item))
        if token[0] == ":":
            return lambda _n, v, _item: v[token]
        return lambda n, _v, item: item.get(n.get(token, token))

    def change(self, clause: str, name: str) -> Change:
        if clause == "REMOVE":
            return lambda n, _v, _item, changed: changed.pop(n.get(name, name), None) and None
        if clause == "SET":
            self.skip("=")
            operand = self.operand()
            return lambda n, v, item, changed: changed.update({n.get(name, name): operand(n, v, item)})
        value = self.next()
        return lambda n, v, item, changed: _added(clause, n.get(name, name), v[value], item, changed)


def _equal(left: Operand, right: Operand) -> Holds:
    def holds(n: Names, v: Values, item: Mapping[str, Any]) -> bool:
        found = left(n, v, item)
        return found is not None and bool(found == right(n, v, item))

    return holds


def _less(left: Operand, right: Operand) -> Holds:
    def holds(n: Names, v: Values, item: Mapping[str, Any]) -> bool:
        found = left(n, v, item)
        return found is not None and bool(_plain(found) < _plain(right(n, v, item)))

    return holds


def _added(clause: str, name: str, value: Mapping[str, Any], item: Mapping[str, Any], changed: Item) -> None:
    """ADD or DELETE members of a set, or ADD to a number."""
    if "SS" in value:
        members, given = set(item.get(name, {"SS": []})["SS"]), set(value["SS"])
        left = members | given if clause == "ADD" else members - given
        changed.pop(name, None)
        changed |= {name: {"SS": sorted(left)}} if left else {}
    else:
        assert clause == "ADD"
        changed[name] = {"N": str(int(item.get(name, {"N": "0"})["N"]) + int(value["N"]))}


def _begins(value: Mapping[str, Any] | None, prefix: str) -> bool:
    return value is not None and "S" in value and bool(value["S"].startswith(prefix))


def _plain(value: Mapping[str, Any]) -> Any:
    (kind, content), *_ = value.items()
    return float(content) if kind == "N" else content
