"""Loads the artifact's code/inference.py, the packed one or a custom one, by its path."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_code.artifacts.artifact import CODE, SCRIPT
from model_code.errors import ArtifactError

FUNCTIONS = ("model_fn", "input_fn", "predict_fn", "output_fn")


@dataclass(frozen=True)
class Script:
    """The four functions of SageMaker's bring-your-own-script contract."""

    model_fn: Callable[[str], Any]
    input_fn: Callable[[bytes, str], Any]
    predict_fn: Callable[[Any, Any], Any]
    output_fn: Callable[[Any, str], bytes]


def load_script(model_dir: Path) -> Script:
    """Import ``code/inference.py`` of the model in ``model_dir``.

    The code folder is put at the *end* of the import path: helpers beside a script are found, as on AWS's toolkits, but
    nothing in an artifact replaces a package of the image, not even its packed copy of model_code.
    Raises ArtifactError if the script is missing, fails to import, or lacks one of the functions.
    """
    path = model_dir / SCRIPT
    if not path.is_file():
        raise ArtifactError(f"The model has no {SCRIPT}; put one with {', '.join(FUNCTIONS)} into model.tar.gz.")
    code = str(model_dir / CODE)
    if code not in sys.path:
        sys.path.append(code)
    spec = importlib.util.spec_from_file_location("inference", path)
    if spec is None or spec.loader is None:
        raise ArtifactError(f"{SCRIPT} cannot be imported as Python.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ArtifactError(f"{SCRIPT} fails to import: {type(error).__name__} {error}.") from error
    missing = [name for name in FUNCTIONS if not callable(getattr(module, name, None))]
    if missing:
        raise ArtifactError(f"{SCRIPT} lacks {', '.join(missing)}; it must define {', '.join(FUNCTIONS)}.")
    return Script(*(getattr(module, name) for name in FUNCTIONS))
