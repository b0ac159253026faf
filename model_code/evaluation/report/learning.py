"""Draws the learning curves: loss and balanced accuracy of every epoch, with the epoch that was kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from model_code.evaluation.report.charts import BELOW, EDGE, line, number, svg, text

WIDTH, HEIGHT, LEFT = 372, 170, 48
FEW = 6
"""Ticks of an axis of epochs, at most."""

History = Sequence[Mapping[str, Any]]


def losses(history: History, kept: float | None) -> Markup | None:
    """Draw the losses of both parts; None without a loss."""
    curves = {"train": "TrainLoss", "validation": "ValidationLoss"}
    highest = max((one[name] for one in history for name in curves.values() if one[name] is not None), default=0.0)
    return _drawn("loss by epoch", "loss", curves, history, kept, highest or 1.0)


def balanced_accuracies(history: History, kept: float | None) -> Markup | None:
    """Draw the validation part's balanced accuracy; None without one."""
    curves = {"validation": "ValidationBalancedAccuracy"}
    return _drawn("balanced accuracy by epoch", "balanced accuracy", curves, history, kept, 1.0)


def _drawn(
    title: str, up: str, curves: Mapping[str, str], history: History, kept: float | None, top: float
) -> Markup | None:
    points = {
        role: [(one["Epoch"], one[name]) for one in history if one[name] is not None] for role, name in curves.items()
    }
    if not any(points.values()):
        return None
    first, last = history[0]["Epoch"], max(history[-1]["Epoch"], history[0]["Epoch"] + 1)

    def x(epoch: float) -> str:
        return number(LEFT + WIDTH * (epoch - first) / (last - first))

    def y(value: float) -> str:
        return number(EDGE + HEIGHT * (1 - min(max(value / top, 0.0), 1.0)))

    parts = []
    for share in (0.0, 0.5, 1.0):
        level = y(share * top)
        parts += [line("grid", LEFT, level, LEFT + WIDTH, level)]
        parts += [text("tick end", LEFT - 5, float(level) + 3.5, f"{share * top:.2g}")]
    step = max(1, round((last - first) / FEW))
    for epoch in range(int(first), int(last) + 1, step):
        parts.append(text("tick middle", x(epoch), EDGE + HEIGHT + 14, f"{epoch}"))
    parts.append(text("label middle", LEFT + WIDTH / 2, EDGE + HEIGHT + 29, "epoch"))
    turned = Markup('<text class="label middle" transform="translate(10 {}) rotate(-90)">{}</text>')
    parts.append(turned.format(EDGE + HEIGHT / 2, up))
    if kept is not None and first <= kept <= last:
        parts.append(line("kept", x(kept), EDGE, x(kept), EDGE + HEIGHT))
    for role, found in points.items():
        if found:
            drawn = " ".join(f"{x(epoch)},{y(value)}" for epoch, value in found)
            parts.append(Markup('<polyline class="learning {}" points="{}"/>').format(role, drawn))
    return svg("plot", LEFT + WIDTH + EDGE, EDGE + HEIGHT + BELOW, title, parts)
