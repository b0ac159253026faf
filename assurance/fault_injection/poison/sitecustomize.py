"""Lets some objects end or stop the model's process; imported by each Python that has this folder on its search path.

The folder in POISONED_OBJECTS has a file for each such object: its name is the object's SHA-256, its content is the
name of a signal. A process that runs `model_code` sends itself the signal as soon as it has such a digest. Any other
process takes as much memory as POISONED_MEGABYTES says.
"""

import hashlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

OBJECTS, MEGABYTES = "POISONED_OBJECTS", "POISONED_MEGABYTES"

if "model_code" in sys.orig_argv:
    folder = Path(os.environ[OBJECTS])
    sha256 = hashlib.sha256

    def poisoned(*content: Any, **options: Any) -> Any:
        """Hash; send this process the signal of the content, if it has one."""
        digest = sha256(*content, **options)
        file = folder / digest.hexdigest()
        if file.is_file():
            os.kill(os.getpid(), signal.Signals[file.read_text()])
        return digest

    hashlib.sha256 = poisoned
elif MEGABYTES in os.environ:
    taken = b"x" * (int(os.environ[MEGABYTES]) * 2**20)
