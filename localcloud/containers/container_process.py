"""One command of the image as a guarded subprocess, with its own `/opt/ml` and a clean environment."""

from __future__ import annotations

import collections
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from localcloud.host.processes import ChildProcess, guard


class ContainerProcess:
    """A running command of the image."""

    def __init__(
        self,
        arguments: Sequence[str],
        base: Path,
        *,
        environment: Mapping[str, str] | None = None,
        log: Callable[[str], None] | None = None,
    ):
        """Start `arguments` with `base` as its /opt/ml; `log` gets every line that it prints."""
        self._log = log
        self._last_lines: collections.deque[str] = collections.deque(maxlen=30)
        (base / "tmp").mkdir(parents=True, exist_ok=True)
        clean = {
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin")),
            "HOME": str(base),
            "TMPDIR": str(base / "tmp"),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "SAGEMAKER_BASE_DIR": str(base),
        }
        self.child: ChildProcess = guard().start(
            arguments,
            cwd=base,
            environment={**clean, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._reader = threading.Thread(target=self._read, name="container-log", daemon=True)
        self._reader.start()

    def last_lines(self) -> str:
        """Return the end of what the container printed, for an error message."""
        self._reader.join(timeout=1.0 if self.child.poll() is not None else 0.0)
        return "\n".join(self._last_lines) or "(it printed nothing)"

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and the last log line; return the status. Raise TimeoutExpired after `timeout` seconds."""
        status = self.child.wait(timeout)
        self._reader.join()
        return status

    def stop(self, grace: float = 5.0) -> int:
        """Send SIGTERM, then SIGKILL after `grace` seconds; return the exit status."""
        status = self.child.stop(grace)
        self._reader.join()
        return status

    def _read(self) -> None:
        with self.child.output as output:
            for raw in output:
                line = raw.decode(errors="replace").rstrip("\n")
                self._last_lines.append(line)
                if self._log is not None:
                    self._log(line)
