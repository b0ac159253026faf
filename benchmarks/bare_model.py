"""The model alone: reads a folder with the container's four functions in one process, a thread a core, no cloud.

python -m benchmarks.bare_model MODEL_FOLDER DICOM_FOLDER     (prints the seconds)
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from model_code.backends import allocator
from model_code.inference import input_fn, model_fn, output_fn, predict_fn


def main() -> None:
    """Load, warm up, then time the whole folder."""
    allocator.keep_freed_memory()
    model = model_fn(sys.argv[1])
    bodies = [path.read_bytes() for path in sorted(Path(sys.argv[2]).glob("*.dcm"))]

    def answer(body: bytes) -> bytes:
        return output_fn(predict_fn(input_fn(body, "application/dicom"), model), "application/json")

    with ThreadPoolExecutor(torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        started = time.perf_counter()
        answers = list(pool.map(answer, bodies))
    print(time.perf_counter() - started)
    assert not any(b'"Error"' in one for one in answers)


if __name__ == "__main__":
    main()
