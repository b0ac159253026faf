"""What AWS puts into a Python runtime besides the standard library: the runtime client and the SDK, and nothing else.

Functions see these packages, their own code and their layers, but not this project's virtual environment, so that a
dependency that was left out of the layer is missed here as it would be on AWS.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

BOOTSTRAP = "_localcloud_bootstrap"
"""The module that runs a function, as it is called among the runtime's packages."""

_MODULES = (
    "awslambdaric",
    "runtime_client",
    "simplejson",
    "snapshot_restore_py",
    "boto3",
    "botocore",
    "s3transfer",
    "jmespath",
    "dateutil",
    "six",
    "urllib3",
)


def link_runtime_packages(folder: Path) -> Path:
    """Fill `folder` with links to the runtime's packages and return it; raise ImportError if one is not installed."""
    folder.mkdir(parents=True, exist_ok=True)
    for module in _MODULES:
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            raise ImportError(f"Package {module} is not installed, which every Lambda environment needs. Install it.")
        origin = Path(spec.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        _link(folder / source.name, source)
    _link(folder / f"{BOOTSTRAP}.py", Path(__file__).with_name("bootstrap.py"))
    return folder


def _link(link: Path, source: Path) -> None:
    if not link.is_symlink():
        link.symlink_to(source)
