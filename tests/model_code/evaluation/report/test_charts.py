"""Positions in the charts."""

from __future__ import annotations

import re

import numpy as np
import pytest

from model_code.evaluation.report import charts
from model_code.evaluation.report.charts import BELOW, EDGE, GLYPH_WIDTH, LEFT, PLOT


def numbers(svg: str, kind: str, name: str) -> list[float]:
    return [float(value) for value in re.findall(rf'class="{kind}"[^>]* {name}="([-\d.]+)"', svg)]


def test_an_interval_runs_from_low_to_high_through_the_value() -> None:
    svg = charts.interval({"Value": 0.5, "Low": 0.25, "High": 1.0}, mark=0.5)
    (middle,) = numbers(svg, "value", "cx")
    assert middle == GLYPH_WIDTH / 2 == numbers(svg, "mark", "x1")[0]
    low, high = numbers(svg, "span", "x1")[0], numbers(svg, "span", "x2")[0]
    assert high == GLYPH_WIDTH - 5
    assert middle - low == pytest.approx((high - middle) / 2)


def test_what_is_undefined_is_not_drawn() -> None:
    assert "circle" not in charts.interval({"Value": None, "Low": None, "High": None})
    assert 'class="span"' not in charts.interval({"Value": 0.5, "Low": None, "High": None})


def test_a_difference_beyond_the_line_is_drawn_at_its_end() -> None:
    svg = charts.interval({"Value": 0.0, "Low": -0.9, "High": 0.25}, ends=(-0.5, 0.5))
    assert numbers(svg, "value", "cx") == [GLYPH_WIDTH / 2]
    assert numbers(svg, "span", "x1") == [5]


def test_a_curve_goes_from_the_lower_left_to_the_upper_right() -> None:
    rates = np.array([0.0, 0.5, 1.0]), np.array([0.0, 1.0, 1.0])
    svg = charts.roc("ROC of <b>", rates, rates, (0.5, 1.0))
    bottom, right = EDGE + PLOT, LEFT + PLOT
    for role in ("candidate", "champion"):
        assert f'class="curve {role}" points="{LEFT},{bottom} {LEFT + PLOT / 2:g},{EDGE} {right},{EDGE}"' in svg
    assert numbers(svg, "value", "cx") == [LEFT + PLOT / 2]
    assert 'aria-label="ROC of &lt;b&gt;"' in svg
    assert f'viewBox="0 0 {LEFT + PLOT + EDGE} {EDGE + PLOT + BELOW}"' in svg


def test_a_bins_area_is_its_slices() -> None:
    bins = [{"Confidence": 0.5, "Accuracy": 1.0, "Slices": 10}, {"Confidence": 0.9, "Accuracy": 0.9, "Slices": 40}]
    small, large = numbers(charts.reliability("bins", bins), "bin", "r")
    assert large == pytest.approx(2 * small)
    assert numbers(charts.reliability("bins", bins), "gap", "y1")[0] == EDGE
