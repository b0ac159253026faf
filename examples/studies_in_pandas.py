"""Query the reads of studies into pandas: one line a study, and one a slice that an answer rests on.

    python examples/studies_in_pandas.py --local --since 7d --csv studies.csv

Preliminary words of a model, never a diagnosis. A score is no probability: only its evaluation gives it a meaning.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from wetread.connection import connect
from wetread.formats import since
from wetread.scripting import add_cloud_options, chosen, errors_in_words, time_ago
from wetread.studies.answers import Answer, newest

MOST = 10_000


def main() -> None:
    """Query, summarise, and save the table if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_cloud_options(parser)
    parser.add_argument("--since", type=time_ago, default="7d", help="closed since: 2h, 7d, 2026-11-23")
    parser.add_argument("--csv", type=Path, help="save the table of studies there")
    options = parser.parse_args()
    connection = connect(chosen(options))
    earliest = since(options.since, datetime.now(UTC))
    found = newest(connection, None, earliest, only_open=False, limit=MOST)
    studies, evidence = tables([one for one in found.answers if one.document])  # the document of an old one expires
    if studies.empty:
        print(f"No study was read in the last {options.since}.")
        return
    summary = studies.groupby(["Model", "Class"], dropna=False)["Score"]
    print(summary.agg(["count", "median", "min"]).round(3).to_string())
    print(f"{len(evidence)} slices are evidence, in {evidence['Series'].nunique()} series.")
    print(f"{(studies['Revision'] > 1).sum()} of {len(studies)} studies were read more than once.")
    if options.csv:
        studies.to_csv(options.csv, index=False)
        print(f"Saved in {options.csv}.")


def tables(answers: Sequence[Answer]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a line for each study, and one for each slice that its class rests on."""
    lines, slices = [], []
    for answer in answers:
        read = answer.document
        label = read["Class"]
        lines.append(
            {
                "Study": read["StudyInstanceUID"],
                "Class": label or read["Code"],
                "Score": read["Scores"].get(label),
                "Read": read["Counts"]["Read"],
                "Members": read["Counts"]["Members"],
                "Revision": read["Revision"],
                "ClosedAt": read["ClosedAt"],
                "Model": (read["Model"] or {}).get("Package"),
                "Cautions": " ".join(read["Cautions"]),
            }
        )
        slices += [
            {
                "Study": read["StudyInstanceUID"],
                "Series": one["SeriesInstanceUID"],
                "Object": one["SOPInstanceUID"],
                "Number": one["InstanceNumber"],
                "Probability": one["Probability"],
            }
            for one in read["Evidence"].get(label, ())
        ]
    studies = pd.DataFrame(lines)
    if not studies.empty:
        studies["ClosedAt"] = pd.to_datetime(studies["ClosedAt"])
    return studies, pd.DataFrame(slices, columns=["Study", "Series", "Object", "Number", "Probability"])


if __name__ == "__main__":
    with errors_in_words():
        main()
