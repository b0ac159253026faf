"""Checks that model.pth has only tensors: a pickle may name any function, and loading it would call that function.

Reads only the names, without torch, and runs nothing. The container's ``weights_only`` is the second guard.
"""

from __future__ import annotations

import contextlib
import pickletools
import re
import struct
import warnings
import zipfile
from collections.abc import Iterator
from typing import IO

from functions.domain.errors import CodeInWeights

MAX_PICKLE_BYTES = 4 * 1024**2  # DenseNet201's is 100 KB: names and shapes, no numbers
# What torch.save writes for a state dict, in its format since 1.6.
TENSORS = re.compile(
    r"collections OrderedDict"
    r"|torch \w+Storage|torch\.storage UntypedStorage"
    r"|torch\._utils _rebuild_(tensor_v2|parameter)"
)
ZIP = b"PK\x03\x04"
# What zipfile raises for bytes that no archiver writes; RuntimeError for an encrypted entry.
DAMAGED = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, struct.error, EOFError, OSError, NotImplementedError, RuntimeError),
    *(ValueError, ArithmeticError, LookupError),
)
STOP = "STOP"
NAMING = frozenset({"GLOBAL", "STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"})


def check(stream: IO[bytes]) -> None:
    """Raise CodeInWeights for weights that name anything but tensors. Data that is not a pickle cannot execute code.

    ``stream`` must be seekable. The format is detected from the first bytes, as torch does.
    """
    if stream.read(len(ZIP)) == ZIP:
        for pickled in _pickles(stream):
            _check(pickled)
        return
    stream.seek(0)
    names = {name for name, _ in _opcodes(stream.read(MAX_PICKLE_BYTES))}
    if names:
        raise CodeInWeights("is a bare pickle, not what torch.save writes: save the state dict again")


def _pickles(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the pickle in torch's zip file, which stores it uncompressed and each name once, if there is one."""
    try:
        with zipfile.ZipFile(stream) as archive:
            entries = archive.infolist()
            if len({entry.filename for entry in entries}) < len(entries):
                raise CodeInWeights("holds one name twice")
            pickled = [entry for entry in entries if entry.filename.lower().endswith(".pkl")]
            if len(pickled) > 1:  # each takes seconds to look through, and an archive may hold hundreds
                raise CodeInWeights("holds more than the one pickle that torch.save writes")
            for entry in pickled:
                if entry.file_size > MAX_PICKLE_BYTES or entry.compress_type != zipfile.ZIP_STORED:
                    raise CodeInWeights("holds a pickle that torch.save does not write")
                yield archive.read(entry)
    except DAMAGED as error:
        raise CodeInWeights("is a damaged zip file") from error


def _check(pickled: bytes) -> None:
    for name, argument in _opcodes(pickled):
        if name in NAMING and not (name == "GLOBAL" and TENSORS.fullmatch(str(argument))):
            raise CodeInWeights("names what is no tensor, and loading it could run code")


def _opcodes(pickled: bytes) -> list[tuple[str, object]]:
    """Return the operations that name or stop, before any damage: loading the pickle would run those."""
    found: list[tuple[str, object]] = []
    with contextlib.suppress(ValueError, IndexError, OverflowError), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns about odd escapes, and would print text of unknown origin
        for operation, argument, _ in pickletools.genops(pickled):
            if operation.name in NAMING or operation.name == STOP:
                found.append((operation.name, argument))  # operations before the damage count too
    return found
