"""Finds the file that each entry of a manifest labels, and files that are labelled twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TypeVar

from functions.domain.entry import composed
from functions.domain.slices import LabelledSlice
from functions.domain.verdict import LabelProblem, Places, Reason


@dataclass(frozen=True, kw_only=True)
class ObjectVersion:
    """The version of an object that was the newest when the snapshot was taken; ``size`` in bytes."""

    key: str
    version_id: str
    size: int


MANY_FIT = (
    "files fit this entry; give in filename the path from the manifest's folder on, or a studyId and a seriesId that "
    "are names of folders, or the UIDs that the file has"
)

UIDsOf = Callable[[Sequence[ObjectVersion]], Mapping[str, tuple[str, str]]]
"""Reads the StudyInstanceUID and SeriesInstanceUID of objects, by key; of an unreadable one nothing."""


@dataclass(frozen=True, eq=False)
class _File:
    """An object, its path below the manifest's folder, and the same path in Unicode's composed form."""

    version: ObjectVersion
    written: tuple[str, ...]
    parts: tuple[str, ...]


Name = TypeVar("Name")

_Files = dict[_File, None]
"""Some of a cohort's objects, in its order."""


class Cohort:
    """The objects below a manifest's folder, by file name.

    Objects of one name are indexed when first needed: exporters give a file in each series the same name, and scanning
    all of them for each entry would take time with the square of their number.
    """

    def __init__(self, folder: str, objects: Iterable[ObjectVersion]) -> None:
        self._by_path: dict[tuple[str, ...], _Files] = defaultdict(dict)
        self._by_name: dict[str, _Files] = defaultdict(dict)
        self._by_ending: dict[tuple[str, int], Mapping[tuple[str, ...], _Files]] = {}
        self._by_folder: dict[tuple[str, ...], Mapping[str, _Files]] = {}
        for version in objects:
            written = PurePosixPath(version.key.removeprefix(folder)).parts
            if written:
                file = _File(version, written, tuple(map(composed, written)))
                self._by_path[file.parts][file] = None
                self._by_name[file.parts[-1]][file] = None

    def find(
        self, entries: Iterable[LabelledSlice], places: Places, uids_of: UIDsOf | None = None
    ) -> tuple[list[LabelledSlice], list[Reason]]:
        """Return the entries with their objects, and a reason for each entry with no, several or a shared object.

        Where neither path nor folders decide between files of one name, ``uids_of`` reads these files' headers.
        """
        meant = [(entry, self._candidates(entry)) for entry in entries]
        if uids_of:
            meant = _decided_by_header(meant, uids_of)
        found: list[LabelledSlice] = []
        reasons: list[Reason] = []
        for entry, files in meant:
            if len(files) == 1:
                version = next(iter(files)).version
                found.append(replace(entry, key=version.key, version_id=version.version_id, size=version.size))
            elif files:
                what = f"{len(files)} {MANY_FIT}"
                reasons.append(_at(LabelProblem.AMBIGUOUS_FILE, entry, what, places))
            else:
                what = "no such file is below the manifest's folder; upload it, or correct filename"
                reasons.append(_at(LabelProblem.MISSING_FILE, entry, what, places))
        shared = _groups(found, lambda one: one.key)
        return found, reasons + [_duplicate(group, "label the same file", places) for group in shared]

    def _candidates(self, entry: LabelledSlice) -> _Files:
        """Return the objects that an entry may mean, by its path or name and, if that is not enough, by its ids.

        A path from the manifest's folder on is exact: it wins over a longer one that ends alike. A bare name can be
        exact, too, but says less than ids that are the names of folders.
        """
        written = _parts(entry.filename)
        wanted = tuple(map(composed, written))
        files = self._ending(wanted) if wanted else {}
        exact = self._by_path.get(wanted, {})
        if len(files) > 1 and not (exact and len(wanted) > 1):
            # Exporters repeat names such as IM0001 in each series' folder: the entry's own folders then decide.
            files = _of_ids(self._folders(wanted), entry, files)
        if len(files) > 1:
            files = {file: None for file in exact if file in files} or files
        if len(files) > 1 and _is_one_path(files):  # the name is there composed and decomposed
            files = {file: None for file in files if file.written[-len(written) :] == written} or files
        return files

    def _ending(self, parts: tuple[str, ...]) -> _Files:
        """Return the objects with a path that ends in these parts."""
        key = parts[-1], len(parts)
        if key not in self._by_ending:
            named = self._by_name.get(parts[-1], {})
            self._by_ending[key] = _indexed(named, lambda file: [file.parts[-len(parts) :]])
        return self._by_ending[key].get(parts, {})

    def _folders(self, ending: tuple[str, ...]) -> Mapping[str, _Files]:
        """Return the objects with a path that ends in these parts, by each folder that they are in."""
        if ending not in self._by_folder:
            self._by_folder[ending] = _indexed(self._ending(ending), lambda file: file.parts[:-1])
        return self._by_folder[ending]


def _decided_by_header(
    meant: Sequence[tuple[LabelledSlice, _Files]], uids_of: UIDsOf
) -> list[tuple[LabelledSlice, _Files]]:
    """Return each entry with its files; of several those whose headers have the entry's ids as UIDs, if any have."""
    # Entries that nothing distinguishes share their files, which are so read and indexed once.
    unsure = {id(files): files for entry, files in meant if len(files) > 1 and (entry.study_id or entry.series_id)}
    versions = {file.version.key: file.version for files in unsure.values() for file in files}
    uids = uids_of(list(versions.values())) if versions else {}
    indexes = {one: _indexed(files, lambda file: uids.get(file.version.key, ())) for one, files in unsure.items()}
    return [
        (entry, _of_ids(indexes[id(files)], entry, files) if id(files) in indexes else files) for entry, files in meant
    ]


def duplicates(contents: Sequence[LabelledSlice], places: Places) -> list[Reason]:
    """Return a reason for each set of entries that are the same slice: the same bytes, or the same SOPInstanceUID.

    The same bytes in different splits of the manifest are left to the audit: a person may accept that risk. The same
    file twice is reported by ``Cohort.find``.
    """
    same_bytes = _groups(contents, lambda one: (one.content_sha256, one.split))
    reasons = [_duplicate(group, "are the same bytes", places) for group in same_bytes if _files(group) > 1]
    same_uid = _groups(contents, lambda one: one.sop_instance_uid)
    reasons += [
        _duplicate(group, "have the same SOPInstanceUID and other bytes", places)
        for group in same_uid
        if len({one.content_sha256 for one in group}) > 1
    ]
    return reasons


def misplaced(slices: Sequence[LabelledSlice], folder: str, places: Places) -> list[Reason]:
    """Return a reason for each entry with the file of another study or series.

    When a file was deleted, another one of its name may be the only one that is left. What a studyId or a seriesId
    means shows in the other entries. If at least half of the files that lie in folders have theirs as a folder, or half
    of all as their UID, each of these files must. Else the ids name nothing that a file has. A path in ``filename``
    decides by itself.
    """
    by_name = [one for one in slices if len(_parts(one.filename)) == 1]
    reasons: dict[int, Reason] = {}
    for kind, id_of, uid_of in _IDS:
        given = [one for one in by_name if id_of(one)]
        in_folders = [one for one in given if _folders_of(one, folder)]
        outside = [one for one in in_folders if composed(id_of(one)) not in _folders_of(one, folder)]
        others = [one for one in given if id_of(one) != uid_of(one)]
        suspects = outside if 2 * len(outside) <= len(in_folders) else []
        suspects += others if 2 * len(others) <= len(given) else []
        what = f"the only file of this name is of another {kind}; upload the one that is meant, or correct the entry"
        for one in suspects:
            if composed(id_of(one)) not in {*_folders_of(one, folder), uid_of(one)}:
                reasons[one.line] = _at(LabelProblem.MISSING_FILE, one, what, places)
    return list(reasons.values())


_IDS: tuple[tuple[str, Callable[[LabelledSlice], str], Callable[[LabelledSlice], str]], ...] = (
    ("studyId", lambda one: one.study_id, lambda one: one.study_instance_uid),
    ("seriesId", lambda one: one.series_id, lambda one: one.series_instance_uid),
)


def _folders_of(one: LabelledSlice, folder: str) -> tuple[str, ...]:
    """Return the names of the folders between the manifest's and an entry's file."""
    return tuple(map(composed, PurePosixPath(one.key.removeprefix(folder)).parts[:-1]))


def _parts(filename: str) -> tuple[str, ...]:
    """Return the folders and the name that an entry gives."""
    return PurePosixPath(filename.replace("\\", "/").lstrip("/")).parts


def _groups(ones: Iterable[LabelledSlice], key: Callable[[LabelledSlice], object]) -> list[list[LabelledSlice]]:
    """Return the groups of at least two slices with the same key."""
    groups: dict[object, list[LabelledSlice]] = defaultdict(list)
    for one in ones:
        groups[key(one)].append(one)
    return [group for group in groups.values() if len(group) > 1]


def _files(group: Iterable[LabelledSlice]) -> int:
    return len({one.key for one in group})


def _duplicate(group: Sequence[LabelledSlice], what: str, places: Places) -> Reason:
    numbers = [one.line for one in group]
    message = f"{places.begin(numbers)} {what}; keep one of them, or name the files that are meant."
    return Reason(code=LabelProblem.DUPLICATE, message=message, line=min(numbers))


def _at(code: LabelProblem, entry: LabelledSlice, what: str, places: Places) -> Reason:
    return Reason(code=code, message=f"{places.begin([entry.line])}: {what}.", line=entry.line)


def _indexed(files: Iterable[_File], names: Callable[[_File], Iterable[Name]]) -> Mapping[Name, _Files]:
    """Return the files by each of their names."""
    index: dict[Name, _Files] = defaultdict(dict)
    for file in files:
        for name in names(file):
            index[name][file] = None
    return index


def _of_ids(index: Mapping[str, _Files], entry: LabelledSlice, files: _Files) -> _Files:
    """Return the files that an index has for an entry's ids: for both of them, else for the one that it knows.

    Returns ``files`` where it knows neither, and where the two are of different files, which is a contradiction.
    """
    by_study = index.get(composed(entry.study_id), {}) if entry.study_id else {}
    by_series = index.get(composed(entry.series_id), {}) if entry.series_id else {}
    if by_study and by_series:
        few, many = sorted((by_study, by_series), key=len)
        return {file: None for file in few if file in many} or files
    return by_series or by_study or files


def _is_one_path(files: _Files) -> bool:
    first = next(iter(files))
    return all(file.parts == first.parts for file in files)
