"""The tree of exceptions that is drawn in errors.py is the tree that the functions have."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re

import functions
from functions.domain import errors

BUILT_IN = {"Exception"}


def drawn() -> set[tuple[str, str]]:
    """Return each drawn exception with the one that it is drawn under."""
    above: list[str] = []
    found = set()
    for line in (errors.__doc__ or "").splitlines():
        branch = re.match(r"(?P<indent>(?:│   |    )*)(?:├── |└── )?(?P<name>[A-Z][A-Za-z]+)(\s{2,}|$)", line)
        if branch and (above or branch["name"] == "Exception"):
            depth = len(branch["indent"]) // 4 + ("── " in line)
            above[depth:] = [branch["name"]]
            if depth:
                found.add((branch["name"], above[depth - 1]))
    return found


def defined() -> set[tuple[str, str]]:
    """Return each public exception class of the functions with its base class."""
    found = set()
    for module in pkgutil.walk_packages(functions.__path__, "functions."):
        for name, value in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(value, BaseException) and value.__module__ == module.name and not name.startswith("_"):
                found.add((name, value.__bases__[0].__name__))
    return found


def test_the_drawing_is_the_tree() -> None:
    assert {(name, base) for name, base in drawn() if name not in BUILT_IN} == defined()


def test_all_but_the_settings_error_are_defined_beside_the_drawing() -> None:
    here = {name for name, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, Exception)}
    assert {name for name, _ in defined()} - here == {"SettingsError"}


def test_no_exception_is_missing_below_the_common_base() -> None:
    def below(kind: type[BaseException]) -> set[str]:
        return {kind.__name__}.union(*(below(one) for one in kind.__subclasses__()))

    defined()
    ours = {one for one in errors.WetreadError.__subclasses__() if one.__module__.startswith("functions.")}
    assert {name for kind in ours for name in below(kind)} == {name for name, base in drawn() if base == "WetreadError"}
