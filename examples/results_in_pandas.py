"""Query the index into a pandas DataFrame, summarise it by model and class, and plot how sure the model was.

    python examples/results_in_pandas.py --local --since 7d

Preliminary words of a model, never a diagnosis; results of withdrawn versions are left out.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

import matplotlib as mpl
import pandas as pd

from functions.domain.row import Status
from wetread.connection import Connection, connect
from wetread.formats import since
from wetread.scripting import add_cloud_options, chosen, errors_in_words, time_ago
from wetread.uploads.queries import Query, run_query

MOST = 100_000


def main() -> None:
    """Query, summarise and plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_cloud_options(parser)
    parser.add_argument("--since", type=time_ago, default="7d", help="2h, 7d, 2026-11-23")
    parser.add_argument("--plot", type=Path, default=Path("results.png"))
    options = parser.parse_args()
    connection = connect(chosen(options))
    results = completed(connection, since(options.since, datetime.now(UTC)))
    if results.empty:
        print(f"No upload of the last {options.since} has a result.")
        return
    summary = results.groupby(["ModelPackage", "PredictedClass"])["Probability"]
    print(summary.agg(["count", "median", "min"]).round(3).to_string())
    plot(results, options.plot)
    print(f"{options.plot} shows how sure the model was.")


def completed(connection: Connection, earliest: str) -> pd.DataFrame:
    """Return a row for each upload with a valid class, and its probability; a model that abstained gave none."""
    answer = run_query(connection.index, Query(status=Status.COMPLETED, since=earliest), MOST)
    rows = pd.DataFrame([row.to_json() for row in answer.rows if row.predicted_class and not row.withdrawn_at])
    if rows.empty:
        return rows
    rows["ReceivedAt"] = pd.to_datetime(rows["ReceivedAt"])
    return rows.assign(Probability=[p[c] for p, c in zip(rows["Probabilities"], rows["PredictedClass"], strict=True)])


def plot(results: pd.DataFrame, path: Path) -> None:
    """A histogram of the predicted class's probability, by class."""
    mpl.use("Agg")  # a file, no window
    by_class = results.pivot(columns="PredictedClass", values="Probability")
    axes = by_class.plot.hist(bins=20, range=(0, 1), alpha=0.6, title="How sure the model was")
    axes.set(xlabel="probability of the predicted class", ylabel="uploads")
    axes.figure.savefig(path, dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    with errors_in_words():
        main()
