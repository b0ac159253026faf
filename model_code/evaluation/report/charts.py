"""Draws the report's charts as inline SVG. Colours come from the style sheet, for light, dark and print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from model_code.evaluation.bootstrap import Floats

GLYPH_WIDTH, GLYPH_HEIGHT = 132, 16
PLOT, LEFT, BELOW, EDGE = 200, 40, 34, 8
TICKS = (0.0, 0.5, 1.0)
LARGEST_DOT, SMALLEST_DOT = 9.0, 2.5

Curve = tuple[Floats, Floats]
"""False and true positive rates."""


def interval(
    figure: Mapping[str, float | None], *, ends: tuple[float, float] = (0.0, 1.0), mark: float | None = None
) -> Markup:
    """Draw a value and its interval on a line between two ``ends``, with a tick at ``mark``, such as chance.

    A value beyond an end is drawn at the end.
    """
    middle, left, right = GLYPH_HEIGHT / 2, 5, GLYPH_WIDTH - 5

    def x(value: float) -> str:
        fraction = (value - ends[0]) / (ends[1] - ends[0])
        return number(left + (right - left) * min(max(fraction, 0), 1))

    parts = [line("axis", left, middle, right, middle)]
    if mark is not None:
        parts.append(line("mark", x(mark), 2, x(mark), GLYPH_HEIGHT - 2))
    if figure["Low"] is not None and figure["High"] is not None:
        parts.append(line("span", x(figure["Low"]), middle, x(figure["High"]), middle))
    if figure["Value"] is not None:
        parts.append(_dot("value", x(figure["Value"]), middle, 4))
    return svg("glyph", GLYPH_WIDTH, GLYPH_HEIGHT, "the value and its 95 % interval", parts)


def roc(title: str, candidate: Curve, champion: Curve | None, at: tuple[float, float] | None) -> Markup:
    """Draw the ROC curves of one class; ``at``: the rates of the candidate's predicted classes."""
    parts = _axes("1 \u2212 specificity", "sensitivity")
    if champion:
        parts.append(_curve("champion", champion))
    parts.append(_curve("candidate", candidate))
    if at:
        parts.append(_dot("value", _x(at[0]), _y(at[1]), 4))
    return _plot(title, parts)


def reliability(title: str, bins: Sequence[Mapping[str, Any]]) -> Markup:
    """Draw confidence against accuracy, with a dot for each bin; its area is the number of slices."""
    parts = _axes("confidence", "accuracy")
    most = max(one["Slices"] for one in bins)
    for one in bins:
        x, y = _x(one["Confidence"]), _y(one["Accuracy"])
        radius = max(SMALLEST_DOT, LARGEST_DOT * (one["Slices"] / most) ** 0.5)
        parts += [line("gap", x, y, x, _y(one["Confidence"])), _dot("bin", x, y, radius)]
    return _plot(title, parts)


def _axes(across: str, up: str) -> list[Markup]:
    parts = [line("diagonal", _x(0), _y(0), _x(1), _y(1))]
    for tick in TICKS:
        parts += [
            line("grid", _x(tick), _y(0), _x(tick), _y(1)),
            line("grid", _x(0), _y(tick), _x(1), _y(tick)),
            text("tick middle", _x(tick), EDGE + PLOT + 14, f"{tick:g}"),
            text("tick end", LEFT - 5, float(_y(tick)) + 3.5, f"{tick:g}"),
        ]
    parts.append(text("label middle", _x(0.5), EDGE + PLOT + 29, across))
    turned = Markup('<text class="label middle" transform="translate(10 {}) rotate(-90)">{}</text>')
    return [*parts, turned.format(_y(0.5), up)]


def _curve(role: str, curve: Curve) -> Markup:
    points = " ".join(f"{_x(x)},{_y(y)}" for x, y in zip(*(rates.tolist() for rates in curve), strict=True))
    return Markup('<polyline class="curve {}" points="{}"/>').format(role, points)


def _x(fraction: float) -> str:
    return number(LEFT + PLOT * fraction)


def _y(fraction: float) -> str:
    return number(EDGE + PLOT * (1 - fraction))


def _plot(title: str, parts: Sequence[Markup]) -> Markup:
    return svg("plot", LEFT + PLOT + EDGE, EDGE + PLOT + BELOW, title, parts)


def svg(kind: str, width: int, height: int, title: str, parts: Sequence[Markup]) -> Markup:
    """Return an SVG element with a title for readers of the screen."""
    opening = Markup('<svg class="{0}" viewBox="0 0 {1} {2}" width="{1}" height="{2}" role="img" aria-label="{3}">')
    return opening.format(kind, width, height, title) + Markup("").join(parts) + Markup("</svg>")


def line(kind: str, x1: float | str, y1: float | str, x2: float | str, y2: float | str) -> Markup:
    """Return a line."""
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(kind, x1, y1, x2, y2)


def _dot(kind: str, x: float | str, y: float | str, radius: float) -> Markup:
    return Markup('<circle class="{}" cx="{}" cy="{}" r="{}"/>').format(kind, x, y, number(radius))


def text(kind: str, x: float | str, y: float | str, words: str) -> Markup:
    """Return a text."""
    return Markup('<text class="{}" x="{}" y="{}">{}</text>').format(kind, x, y, words)


def number(value: float) -> str:
    """Return a coordinate with two decimals at most."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
