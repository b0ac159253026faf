"""docs/operations.md has the fixed bill that the template and an idle sweep give."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from functions.names import Metric
from infra.config import StageConfig

ROOT = Path(__file__).parents[2]


def printed() -> str:
    # A separate process: the benchmark replaces the functions' parts.
    command = [sys.executable, "-m", "benchmarks.monthly"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_the_page_has_the_table_and_the_sentence_that_the_command_prints() -> None:
    table, _, sentence = printed().strip().rpartition("\n")
    page = (ROOT / "docs/operations.md").read_text()
    assert table in page
    assert sentence in " ".join(page.split())


def test_the_sum_is_that_of_its_rows_and_no_metric_is_left_out() -> None:
    rows = dict(re.findall(r"^\| (.+?) \|.*?\| \**([\d.]+)\** \|$", printed(), re.M))
    total = float(rows.pop("**sum**"))
    assert abs(total - sum(map(float, rows.values()))) < 0.01 * len(rows)
    (metrics,) = re.findall(r"custom metrics that each sweep writes \| (\d+) ", printed())
    assert 0 < int(metrics) <= len(Metric)


def test_the_prices_of_a_training_run_are_of_the_hosts_that_a_stage_takes_by_default() -> None:
    config = StageConfig()
    assert (config.training_instance_type, config.processing_instance_type) == ("ml.m5.2xlarge", "ml.m5.xlarge")
