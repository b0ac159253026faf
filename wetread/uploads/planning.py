"""Which files a submission considers, and under which keys, before any of them is read but the lists of archives."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from wetread.problems import ConfigProblem
from wetread.uploads.archives import Archive, Member, Unopened
from wetread.uploads.files import Kind, Source, check_link, everything_below, key_problem, opened
from wetread.uploads.sorting import Group, Unsent

NOT_OBJECTS = frozenset({"manifest.json", "dicomdir", "__macosx"})
"""Names, in any case, of what accompanies DICOM objects in folders and archives and is not one."""
GZIP = ".gz"
MAGIC = {".zip": b"PK", GZIP: b"\x1f\x8b"}


@dataclass(frozen=True)
class Candidate:
    """A file that is sent if it is what this service reads: a file on its own, or a ``member`` of an archive."""

    source: Source
    member: Member | None = None

    @property
    def name(self) -> str:
        """What a person calls it: the path of the file, with the path in the archive."""
        info = self.member.info if self.member else None
        return f"{self.source.path}/{info.filename}" if info else str(self.source.path)

    @property
    def content_name(self) -> str:
        """The name of its bytes: a .gz file's without its ending."""
        return self.name[: -len(GZIP)] if self.member and self.member.info is None else self.name

    @property
    def is_named(self) -> bool:
        """Whether a person named this very file, and no folder or archive around it."""
        return self.source.folder is None and self.member is None


@dataclass(frozen=True)
class Plan:
    """What may be sent, in a fixed order, and what is not sent whatever is in it."""

    candidates: tuple[Candidate, ...]
    unsent: tuple[Unsent, ...]


def plan(paths: Sequence[Path], prefix: str = "") -> Plan:
    """Find the files below ``paths``, and in .zip and .gz files there.

    A key is the path from the named folder's own name on, or a named file's name; a file in a zip archive has the
    archive's key with its path in the archive, and a .gz file keeps its name.

    Below a folder, hidden files and NOT_OBJECTS are left out. Links that lead out of the folder are left out, since a
    folder from elsewhere may lead to any file of this machine; others are followed to what is not there by itself. A
    shell's ``*`` names links too, so a named one that leads out of its folder is refused. A name that cannot be a key
    stops no other. Raises ConfigProblem for a path that does not exist, is no file or leads elsewhere, and for two
    files with one key.
    """
    finding = _Finding(prefix)
    for path in paths:
        if not os.path.exists(path):  # noqa: PTH110  # Path.exists raises for names too long
            raise ConfigProblem(f"There is no file or folder {str(path)!r}.", "Check the path.")
        check_link(path)
        if path.is_dir():
            finding.folder(path)
        elif path.is_file():
            finding.file(Source(path, _key(prefix, path.name)))
        else:
            raise ConfigProblem(f"{str(path)!r} is a pipe or a device.", "Submit regular files or folders.")
    return Plan(tuple(finding.candidates.values()), tuple(finding.unsent))


class _Finding:
    """The candidates by key so far, and what is not sent."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.candidates: dict[str, Candidate] = {}
        self.unsent: list[Unsent] = []

    def folder(self, folder: Path) -> None:
        """Take all that lies below a folder."""
        for path, shown in _Walk(folder, self.unsent).files():
            key = _key(self.prefix, folder.resolve().name, shown.relative_to(folder).as_posix())
            if _is_no_object(shown.name):
                self.unsent.append(Unsent(str(shown), Group.BY_NAME))
            else:
                self.file(Source(path, key, folder))

    def file(self, source: Source) -> None:
        """Take a file, or the files in it if it is an archive by its name and its first bytes."""
        magic = MAGIC.get(source.path.suffix.lower())
        try:
            is_archive = magic is not None and _begins(source, magic)
        except OSError as error:
            self.unsent.append(Unsent(str(source.path), Group.FAILED, f"The file cannot be read: {error.strerror}."))
            return
        if not is_archive:
            self._take(Candidate(source))
        elif magic == MAGIC[GZIP]:
            self._take(Candidate(source, Member(Archive(source), None)))
        else:
            self._zip(source)

    def _zip(self, source: Source) -> None:
        try:
            members = Archive(source).members()
        except Unopened as error:
            self.unsent.append(Unsent(str(source.path), Group.FAILED, str(error)))
            return
        for path, member in members:
            name = f"{source.path}/{path}"
            if any(_is_no_object(part) for part in PurePosixPath(path).parts if part != ".."):
                self.unsent.append(Unsent(name, Group.BY_NAME))
            elif isinstance(member, str):
                self.unsent.append(Unsent(name, Group.FAILED, member))
            else:
                self._take(Candidate(Source(source.path, f"{source.key}/{path}", source.folder), member))

    def _take(self, candidate: Candidate) -> None:
        key = candidate.source.key
        other = self.candidates.get(key)
        problem = key_problem(key)
        if other and not problem:
            if not (other.member or candidate.member):
                raise ConfigProblem(
                    f"2 files would get the key {key!r}.", "Submit them apart, each with its own --prefix."
                )
            problem = "Another file has its key: submit it apart, with its own --prefix."
        if problem:
            self.unsent.append(Unsent(candidate.name, Group.FAILED, problem))
        else:
            self.candidates[key] = candidate


class _Walk:
    """The files below one folder, each once, by whatever links it is reached."""

    def __init__(self, folder: Path, unsent: list[Unsent]) -> None:
        self._folder = folder
        self._root = folder.resolve()
        self._unsent = unsent
        self._links: list[tuple[Path, Path]] = []
        self._found: set[Path] = set()

    def files(self) -> Iterator[tuple[Path, Path]]:
        """Yield the path to read of each file, free of links, and the path that a person sees."""
        yield from self._below(self._folder, self._folder)
        for link, shown in self._links:  # grows: what a link leads to may have links
            yield from self._followed(link, shown)

    def _below(self, folder: Path, shown: Path) -> Iterator[tuple[Path, Path]]:
        """Yield the files below a folder that no link leads to, and keep the links for later."""
        for path, kind in everything_below(folder, self._cannot_read):
            if path in self._found:
                continue
            self._found.add(path)
            seen = shown / path.relative_to(folder)
            if kind == Kind.LINK:
                self._links.append((path, seen))
            elif kind == Kind.SPECIAL:
                self._unsent.append(Unsent(str(seen), Group.SPECIAL))
            else:
                yield path, seen

    def _followed(self, link: Path, shown: Path) -> Iterator[tuple[Path, Path]]:
        """Yield what a link leads to, unless it leads out of the folder or to what is there anyway."""
        if _is_no_object(shown.name):
            self._unsent.append(Unsent(str(shown), Group.BY_NAME))
            return
        try:
            target = Path(os.path.realpath(link, strict=True))
            inside = target.relative_to(self._root)
        except (OSError, ValueError):
            self._unsent.append(Unsent(str(shown), Group.LINK))
            return
        path = self._folder / inside  # opened folder by folder, none of them a link
        if path.is_dir():
            if path not in self._found and not self._is_walked(inside):
                self._found.add(path)
                yield from self._below(path, shown)
        elif not path.is_file():
            self._unsent.append(Unsent(str(shown), Group.SPECIAL))
        elif path not in self._found:
            self._found.add(path)
            yield path, shown

    @staticmethod
    def _is_walked(folder: Path) -> bool:
        """Return whether a folder is walked without any link: hidden ones are not."""
        return not any(part.startswith(".") for part in folder.parts)

    def _cannot_read(self, folder: Path, error: OSError) -> None:
        self._unsent.append(Unsent(str(folder), Group.FAILED, f"The folder cannot be read: {error.strerror}."))


def _begins(source: Source, magic: bytes) -> bool:
    with opened(source) as file:
        return file.read(len(magic)) == magic


def _is_no_object(name: str) -> bool:
    return name.startswith(".") or name.lower() in NOT_OBJECTS


def _key(*parts: str) -> str:
    return "/".join(part.strip("/") for part in parts if part.strip("/"))
