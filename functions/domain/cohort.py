"""Finds the file that each entry of a manifest labels, and files that are labelled twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from functions.domain.slices import LabelledSlice
from functions.domain.verdict import LabelProblem, Reason, lines_of


@dataclass(frozen=True, kw_only=True)
class ObjectVersion:
    """The version of an object that was the newest when the snapshot was taken; ``size`` in bytes."""

    key: str
    version_id: str
    size: int


ObjectAtPath = tuple[PurePosixPath, ObjectVersion]
"""An object and its path below the manifest's folder."""


class Cohort:
    """The objects below a manifest's folder, by file name.

    Objects of one name are indexed when first needed: exporters give a file in each series the same name, and scanning
    all of them for each entry would take time with the square of their number.
    """

    def __init__(self, folder: str, objects: Iterable[ObjectVersion]) -> None:
        self._by_name: dict[str, list[ObjectAtPath]] = defaultdict(list)
        self._by_ending: dict[tuple[str, int], dict[tuple[str, ...], list[ObjectAtPath]]] = {}
        self._by_folder: dict[str, dict[str, list[ObjectAtPath]]] = {}
        for version in objects:
            path = PurePosixPath(version.key.removeprefix(folder))
            self._by_name[path.name].append((path, version))

    def find(self, entries: Iterable[LabelledSlice]) -> tuple[list[LabelledSlice], list[Reason]]:
        """Return the entries with their objects, and a reason for each entry with no, several or a shared object."""
        found: list[LabelledSlice] = []
        reasons: list[Reason] = []
        for entry in entries:
            versions = self._candidates(entry)
            if len(versions) == 1:
                version = versions[0]
                found.append(replace(entry, key=version.key, version_id=version.version_id, size=version.size))
            elif versions:
                what = f"{len(versions)} files have this name; give the path in filename, or studyId and seriesId"
                reasons.append(_at(LabelProblem.AMBIGUOUS_FILE, entry, what))
            else:
                what = "no such file is below the manifest's folder; upload it, or correct filename"
                reasons.append(_at(LabelProblem.MISSING_FILE, entry, what))
        shared = _groups(found, lambda one: one.key)
        return found, reasons + [_duplicate(group, "label the same file") for group in shared]

    def _candidates(self, entry: LabelledSlice) -> list[ObjectVersion]:
        """Return the objects that an entry may mean: by path if it gives one, else by name, and its ids if needed."""
        wanted = PurePosixPath(entry.filename.replace("\\", "/").lstrip("/"))
        named = self._by_name.get(wanted.name, [])
        if len(wanted.parts) > 1:
            return [version for _, version in self._ending(wanted.parts)]
        # Exporters repeat names such as IM0001 in each series' folder: the entry's own folders then decide.
        for ids in ({entry.study_id, entry.series_id}, {entry.series_id}, {entry.study_id}):
            if len(named) > 1 and "" not in ids:
                belonging = self._belonging(wanted.name, ids)
                named = belonging if len(belonging) == 1 else named
        return [version for _, version in named]

    def _ending(self, parts: tuple[str, ...]) -> list[ObjectAtPath]:
        """Return the objects with a path that ends in these parts."""
        key = parts[-1], len(parts)
        if key not in self._by_ending:
            self._by_ending[key] = defaultdict(list)
            for one in self._by_name.get(parts[-1], []):
                self._by_ending[key][one[0].parts[-len(parts) :]].append(one)
        return self._by_ending[key].get(parts, [])

    def _belonging(self, name: str, ids: set[str]) -> list[ObjectAtPath]:
        """Return the objects of this name that are in folders of all these ids."""
        if name not in self._by_folder:
            self._by_folder[name] = defaultdict(list)
            for one in self._by_name.get(name, []):
                for part in set(one[0].parts):
                    self._by_folder[name][part].append(one)
        fewest = min((self._by_folder[name].get(part, []) for part in ids), key=len)
        return [one for one in fewest if ids <= set(one[0].parts)]


def duplicates(contents: Sequence[LabelledSlice]) -> list[Reason]:
    """Return a reason for each set of entries that are the same slice: the same bytes, or the same SOPInstanceUID.

    The same bytes in different splits of the manifest are left to the audit: a person may accept that risk. The same
    file twice is reported by ``Cohort.find``.
    """
    same_bytes = _groups(contents, lambda one: (one.content_sha256, one.split))
    reasons = [_duplicate(group, "are the same bytes") for group in same_bytes if _files(group) > 1]
    same_uid = _groups(contents, lambda one: one.sop_instance_uid)
    reasons += [
        _duplicate(group, "have the same SOPInstanceUID and other bytes")
        for group in same_uid
        if len({one.content_sha256 for one in group}) > 1
    ]
    return reasons


def _groups(ones: Iterable[LabelledSlice], key: Callable[[LabelledSlice], object]) -> list[list[LabelledSlice]]:
    """Return the groups of at least two slices with the same key."""
    groups: dict[object, list[LabelledSlice]] = defaultdict(list)
    for one in ones:
        groups[key(one)].append(one)
    return [group for group in groups.values() if len(group) > 1]


def _files(group: Iterable[LabelledSlice]) -> int:
    return len({one.key for one in group})


def _duplicate(group: Sequence[LabelledSlice], what: str) -> Reason:
    numbers = [one.line for one in group]
    message = f"{lines_of(numbers).capitalize()} {what}; keep one of them, or name the files that are meant."
    return Reason(code=LabelProblem.DUPLICATE, message=message, line=min(numbers))


def _at(code: LabelProblem, entry: LabelledSlice, what: str) -> Reason:
    return Reason(code=code, message=f"Line {entry.line}: {what}.", line=entry.line)
