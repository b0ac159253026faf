"""Retrain with several settings on one frozen split, compare how they learn, and plot it.

    python examples/retrain_and_compare.py --local /path/to/labelled image_size=64 image_size=96,epochs=12

Each setting is an experiment: a SageMaker training job outside the workflow. Prints a table with the best epoch of each
and where its model.tar.gz is, and writes learning.png. Nothing becomes a version: `wetread model register` does that.
"""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime
from pathlib import Path

import matplotlib as mpl
import pandas as pd

from wetread.connection import Connection, connect
from wetread.scripting import add_cloud_options, chosen, errors_in_words
from wetread.training import experiments
from wetread.training.job import follow

FIGURES = re.compile(r"(\w+)=([-+.\w]+)")


def main() -> None:
    """Start all experiments, follow each, and show them side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_cloud_options(parser)
    parser.add_argument("--plot", type=Path, default=Path("learning.png"))
    parser.add_argument("labels", help="a folder with manifest.json or labels.csv")
    parser.add_argument("settings", nargs="+", help="hyperparameters of one experiment: image_size=96,epochs=12")
    options = parser.parse_args()
    connection = connect(chosen(options))
    jobs = {text: start(connection, options.labels, text) for text in options.settings}
    learnt = pd.concat({text: learning(connection, job) for text, job in jobs.items()}, names=["setting"])
    best = learnt.loc[learnt.groupby("setting")["val_loss"].idxmin()]
    print(best[["epoch", "val_loss", "val_balanced_accuracy", "artifact"]].droplevel(1).to_string())
    plot(learnt, options.plot)
    print(f"{options.plot} shows how they learnt.")


def start(connection: Connection, labels: str, setting: str) -> str:
    """Start one experiment and return the name of its job. The same seed gives the same split."""
    hyperparameters = dict(pair.split("=", 1) for pair in setting.split(","))
    return experiments.begin(connection, labels, seed=0, hyperparameters=hyperparameters, now=datetime.now(UTC))


def learning(connection: Connection, job: str) -> pd.DataFrame:
    """Follow a job; return its figures by epoch, a row each, and its artifact."""
    lines: list[str] = []
    trained = follow(connection, job, lines.append)
    epochs = [dict(FIGURES.findall(line)) for line in lines if line.startswith("epoch=")]
    return pd.DataFrame(epochs).apply(pd.to_numeric).assign(artifact=trained.artifact_uri)


def plot(learnt: pd.DataFrame, path: Path) -> None:
    """Validation loss by epoch, a line for each setting."""
    mpl.use("Agg")  # a file, no window
    lines = learnt.reset_index().pivot_table(index="epoch", columns="setting", values="val_loss")
    axes = lines.plot(marker="o", ylabel="validation loss", title="Experiments on one split", xticks=lines.index)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15))
    axes.figure.savefig(path, dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    with errors_in_words():
        main()
