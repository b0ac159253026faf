"""The public sample's request handling, rewritten as a baseline for measurements: do not serve with it.

Each body goes to a temporary file, which a DataLoader with a separate worker process reads by MONAI's LoadImage and
scales by its own minimum and maximum; the network computes eagerly, one request at a time, and records what a backward
pass would need. The sample's defects that cost no time are not imitated, nor does it fetch objects from S3 here.

python -m benchmarks.sample_handler MODEL_FOLDER IMAGE_SIZE PORT
"""

from __future__ import annotations

import json
import sys
import tempfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import torch
from monai.networks.nets.densenet import DenseNet121
from monai.transforms.compose import Compose
from monai.transforms.intensity.array import ScaleIntensity
from monai.transforms.io.array import LoadImage
from monai.transforms.spatial.array import Resize
from monai.transforms.utility.array import EnsureChannelFirst, EnsureType
from torch import nn
from torch.utils.data import DataLoader, Dataset

from model_code.artifacts import metadata
from model_code.artifacts.artifact import METADATA, WEIGHTS


class Files(Dataset[torch.Tensor]):
    """Files that are read and scaled on access."""

    def __init__(self, paths: list[str], transforms: Compose) -> None:
        self._paths = paths
        self._transforms = transforms

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        image: torch.Tensor = self._transforms(self._paths[index])
        return image


class Handler:
    """The loaded network and the transforms."""

    def __init__(self, model_dir: Path, image_size: int) -> None:
        self.labels = metadata.parse((model_dir / METADATA).read_text()).labels
        state = torch.load(model_dir / WEIGHTS, weights_only=True)
        self.network: nn.Module = DenseNet121(spatial_dims=2, in_channels=1, out_channels=len(self.labels))
        self.network.load_state_dict(state)
        self.network.eval()
        read = [LoadImage(image_only=True, reader="PydicomReader"), EnsureChannelFirst(), ScaleIntensity()]
        self.transforms = Compose([*read, Resize(spatial_size=(image_size, image_size)), EnsureType(track_meta=False)])

    def answer(self, body: bytes) -> bytes:
        """Return the class of one DICOM object, with its probability to two digits."""
        with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
            file.write(body)
            file.flush()
            (image,) = DataLoader(Files([file.name], self.transforms), batch_size=1, num_workers=1)
        probabilities = torch.softmax(self.network(image), dim=1)[0].tolist()
        best = max(probabilities)
        label = self.labels[probabilities.index(best)]
        return json.dumps({"results": {"class": label, "probability": round(best, 2)}}).encode()


def main() -> None:
    """Serve until the process is ended; it answers on loopback only."""
    handler = Handler(Path(sys.argv[1]), int(sys.argv[2]))

    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """/ping."""
            self._send(b"")

        def do_POST(self) -> None:
            """/invocations."""
            self._send(handler.answer(self.rfile.read(int(self.headers["Content-Length"]))))

        def _send(self, answer: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            # One request at a time, so no connection may hold the server.
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    HTTPServer.request_queue_size = 128
    HTTPServer(("127.0.0.1", int(sys.argv[3])), Requests).serve_forever()


if __name__ == "__main__":
    main()
