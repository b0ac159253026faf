"""The network while it learns, step by step, with everything that a step changes in one state."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from model_code.backends import networks
from model_code.backends.torch_backend import make_repeatable
from model_code.training import convolution
from model_code.training.distributed import Worker
from model_code.training.hyperparameters import Hyperparameters

WEIGHT_DECAY = 1e-2
# The fraction of a training in which the learning rate rises; then it falls to zero.
RISING = 0.3
# The share of the newest batch in batch normalisation's statistics, once an epoch has seen a few.
NEWEST_SHARE = 0.3


class Learner:
    """A new network, the same on every worker, with its optimiser, learning-rate schedule and loss scaling."""

    def __init__(
        self,
        class_weights: torch.Tensor,
        steps: int,
        settings: Hyperparameters,
        worker: Worker,
        initial: Mapping[str, torch.Tensor] = MappingProxyType({}),
    ) -> None:
        """Build the network, with ``initial`` in place of random weights where it has any.

        ``class_weights``: of the loss; ``steps``: of the learning rate's schedule.
        """
        make_repeatable()
        torch.manual_seed(settings.seed)
        self.network = networks.build(len(class_weights), settings.network)
        self.network.load_state_dict(initial, strict=False)
        self.network.to(worker.device)
        if worker.device.type == "cpu":
            convolution.quicken(self.network)
        self._worker = worker
        self._norms = [module for module in self.network.modules() if isinstance(module, nn.BatchNorm2d)]
        self._steps_of_epoch = 0
        self._replica = worker.replicated(self.network)
        self._criterion = nn.CrossEntropyLoss(weight=class_weights.to(worker.device))
        rate = settings.learning_rate
        self._optimizer = torch.optim.AdamW(self.network.parameters(), rate, weight_decay=WEIGHT_DECAY)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(self._optimizer, rate, steps, pct_start=RISING)
        # Half precision only on a GPU: a processor would emulate it at a fifth of the speed.
        self._mixed = worker.device.type == "cuda"
        self._scaler = torch.amp.GradScaler(worker.device.type, enabled=self._mixed)

    def begin_epoch(self) -> None:
        """Enter training mode and reset batch normalisation's statistics, which belong to earlier weights."""
        self.network.train()
        self._steps_of_epoch = 0

    def step(self, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Learn from one batch; return its loss, on the device.

        The batch normalisation statistics follow the weights: the mean over an epoch's first batches, then a running
        mean over the newest. torch's own running mean begins with made-up statistics and is slower: after few steps it
        describes much earlier weights, and the network fails in evaluation mode although it has learnt.
        """
        self._steps_of_epoch += 1
        for norm in self._norms:
            norm.momentum = max(1 / self._steps_of_epoch, NEWEST_SHARE)
        device = self._worker.device
        self._optimizer.zero_grad()
        with torch.autocast(device.type, torch.float16, enabled=self._mixed):
            answer = self._replica(images.to(device, memory_format=torch.channels_last))
            loss: torch.Tensor = self._criterion(answer, targets.to(device))
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._schedule.step()
        return loss.detach()

    def share_statistics(self) -> None:
        """Give every worker the mean of all workers' batch normalisation statistics."""
        self._worker.average(
            [
                statistic
                for norm in self._norms
                for statistic in (norm.running_mean, norm.running_var)
                if statistic is not None
            ]
        )

    def weights(self) -> dict[str, torch.Tensor]:
        """Return a copy of the network's state dict on the CPU."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()}

    def state(self) -> dict[str, Any]:
        """Return everything that the next step depends on, for ``restore``."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "scaler": self._scaler.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a ``state``; the next step is then the same."""
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._scaler.load_state_dict(state["scaler"])
