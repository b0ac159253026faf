"""The public sample's training, rewritten as a baseline for measurements: do not train with it.

Every slice is read from disk in every epoch (MONAI's LoadImage), scaled by its own minimum and maximum, and augmented
on the thread that also trains; all training slices are one batch; tensors lie channels first and malloc is left alone.
Validation follows each epoch. The sample's defects that cost no time are not imitated.

python -m benchmarks.sample_training SLICES.json IMAGE_SIZE EPOCHS      (prints one JSON line per epoch)
SLICES.json: {"train": [[path, class index], ...], "validation": [...]}
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
from monai.networks.nets.densenet import DenseNet121
from monai.transforms.compose import Compose
from monai.transforms.intensity.array import ScaleIntensity
from monai.transforms.io.array import LoadImage
from monai.transforms.spatial.array import RandFlip, RandRotate, RandZoom, Resize
from monai.transforms.utility.array import EnsureChannelFirst, EnsureType
from torch.utils.data import DataLoader, Dataset

BATCH = 20


class Slices(Dataset[tuple[torch.Tensor, int]]):
    """Labelled files that are read, scaled and augmented on every access."""

    def __init__(self, files: list[tuple[str, int]], transforms: Compose) -> None:
        self._files = files
        self._transforms = transforms

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        path, target = self._files[index]
        return self._transforms(path), target


def main() -> None:
    """Train for so many epochs and print the seconds of each."""
    files = json.loads(Path(sys.argv[1]).read_text())
    size, epochs = int(sys.argv[2]), int(sys.argv[3])
    torch.manual_seed(0)
    read = [LoadImage(image_only=True, reader="PydicomReader"), EnsureChannelFirst(), ScaleIntensity()]
    fitted = [Resize(spatial_size=(size, size)), EnsureType(track_meta=False)]
    changed = [RandRotate(range_x=0.26, prob=0.5), RandFlip(spatial_axis=0, prob=0.5), RandZoom(prob=0.5)]
    training = DataLoader(Slices(files["train"], Compose([*read, *changed, *fitted])), BATCH, shuffle=True)
    validation = DataLoader(Slices(files["validation"], Compose([*read, *fitted])), BATCH)
    classes = 1 + max(target for _, target in files["train"])
    network = DenseNet121(spatial_dims=2, in_channels=1, out_channels=classes)
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(network.parameters(), 1e-5)
    for epoch in range(1, epochs + 1):
        started = time.perf_counter()
        network.train()
        for images, targets in training:
            optimizer.zero_grad()
            loss = criterion(network(images), targets)
            loss.backward()
            optimizer.step()
        trained = time.perf_counter()
        network.eval()
        with torch.no_grad():
            for images, targets in validation:
                criterion(network(images), targets)
        ended = time.perf_counter()
        print(json.dumps({"epoch": epoch, "train_seconds": trained - started, "epoch_seconds": ended - started}))


if __name__ == "__main__":
    main()
