"""The process of the local cloud: MiniStack with our services and patches, on the loopback interface.

`python -m localcloud.host.launcher PROJECT`, the project as JSON, runs it in the foreground; `localcloud.cloud.up`
starts it in the background. It ends on SIGTERM, Ctrl-C, or, when started with a tether, with the process that started
it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
from pathlib import Path

from localcloud.access.key import Key, ensure_key
from localcloud.account import ACCOUNT_ID, REGION
from localcloud.home import Home, home_of, open_private
from localcloud.host.processes import guard
from localcloud.options import Options
from localcloud.project import Project

_LOG_LIMIT_BYTES = 5_000_000


def main(project: Project) -> None:
    """Run the project's local cloud until a signal or the tether ends it."""
    os.umask(0o077)  # all files from here on are private to their owner: uploads, rows, logs, code
    home = home_of(project).create()
    _hold(home.launcher_lock)
    _log_to(home.log_file)
    options = Options.of(os.environ, project)
    key = ensure_key(home)
    _configure_emulator(home, options, key)
    from localcloud.host.server import serve  # noqa: PLC0415 (the emulator reads its environment when it is imported)

    asyncio.run(serve(home, options, key))
    # Once its children have ended, no thread of this process waits for anything.
    guard().close()


def _hold(path: Path) -> None:
    """Lock this home; the kernel releases the lock when this process ends, however it ends."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)  # a descriptor, not a file object, which would close it
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"A local cloud already runs in {path.parent} (process {path.read_text()}).")
    os.ftruncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())


def _log_to(path: Path) -> None:
    """Redirect this process's output to the log file, which is emptied when it has grown large."""
    fresh = path.exists() and path.stat().st_size > _LOG_LIMIT_BYTES
    with open_private(path, "w" if fresh else "a") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())


def _configure_emulator(home: Home, options: Options, key: Key) -> None:
    """Set the environment that the emulator reads when it is imported, and remove the caller's AWS settings.

    Proxies are removed too: this process sends requests to this machine only.
    """
    for name in [name for name in os.environ if name.startswith(("AWS_", "LAMBDA_", "MINISTACK_", "LOCALSTACK_"))]:
        del os.environ[name]
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    os.environ.update(
        {
            "NO_PROXY": "*",  # on macOS there are proxies outside the environment
            "GATEWAY_PORT": str(options.port),
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_ACCOUNT_ID": ACCOUNT_ID,
            "MINISTACK_REGION": REGION,
            "AWS_ACCESS_KEY_ID": key.access_key_id,
            "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
            "AUTH": "true",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "DOCKER_HOST": "unix:///nonexistent",
            "PERSIST_STATE": "1",
            "STATE_DIR": str(home.services),
            "S3_PERSIST": "1",
            "LAMBDA_ACCOUNT_CONCURRENCY": "1000",  # AWS's default; the pool has a limit for each function
            "S3_DATA_DIR": str(home.objects),
            "LOG_LEVEL": "WARNING",
        }
    )


if __name__ == "__main__":
    main(Project.from_json(sys.argv[1]))
