"""The verdict on a run as a part of its report's page: the outcome, each threshold in words, and every reason.

The page is written before the gate decides, and the outcome is known last of all. So who saves the report adds this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from wetread.training.run_report import Reason, artifact_lines
from wetread.training.runs import Run

OUTCOMES = {
    "Promoted": "Promoted: it is the champion since this run.",
    "AwaitingApproval": "It passed, and awaits a person's approval.",
    "Rejected": "Rejected: the champion is what it was.",
    "Refused": "Rejected for its data: nothing was trained, and the champion is what it was.",
    "Running": "The run has not ended: there is no verdict yet.",
}
ENDS = {"Low": ", for the lower end of the interval", "Value": ""}


def section(run: Run, checks: Sequence[Mapping[str, Any]], reasons: Sequence[Reason], called: str) -> str:
    """Return the verdict's HTML, every text in it escaped; ``called`` is the command line's name with its options."""
    kind = {"Promoted": "good", "AwaitingApproval": "good"}.get(run.outcome, "bad")
    refused = run.outcome == "Rejected" and not run.output.get("EvaluationUri")
    said = OUTCOMES.get("Refused" if refused else run.outcome, f"The run ended as {run.outcome}: nothing was promoted.")
    version = f" Version {run.model_package}." if run.model_package else ""
    accepted = {one.code for one in reasons if one.accepted}
    parts = [f'<section class="verdict {kind}">', "<h2>Verdict</h2>", f"<p>{escape(said + version)}</p>"]
    if checks:
        parts.append(_table([_line(one, accepted) for one in sorted(checks, key=lambda one: bool(one["Passed"]))]))
    elif run.output.get("EvaluationUri"):
        parts.append("<p>The gate of this run wrote down no thresholds, only what it has against the candidate.</p>")
    named = {str(one["Code"]) for one in checks if one["Code"]}
    parts += [_reason(one, described=one.code in named) for one in sorted(reasons, key=lambda one: one.accepted)]
    parts += [f"<p>{_with_code(one)}</p>" for one in artifact_lines(run, called)]
    return "\n".join([*parts, "</section>"])


def _table(lines: Sequence[str]) -> str:
    heads = ("What", "Measured", "This stage asks for", "")
    columns = "".join(f'<th scope="col">{one}</th>' for one in heads)
    table = f'<table class="figures"><thead><tr>{columns}</tr></thead><tbody>{"".join(lines)}</tbody></table>'
    return f'<div class="scroll">{table}</div>'


def _line(check: Mapping[str, Any], accepted: set[str]) -> str:
    asks = f"{check['Asks']} {_number(check['Bound'])}{ENDS.get(str(check['Compared']), '')}"
    code = str(check["Code"])
    result, kind = ("holds", "held") if check["Passed"] else ("does not hold", "failed")
    if code and code in accepted:
        result, kind = "does not hold; the risk was accepted", "accepted"
    cells = [f'<td class="measured">{_measured(check)}</td>', f"<td>{escape(asks)}</td>", f"<td>{escape(result)}</td>"]
    return f'<tr class="{kind}"><th scope="row">{escape(str(check["What"]))}</th>{"".join(cells)}</tr>'


def _measured(check: Mapping[str, Any]) -> str:
    if check["TooFew"]:
        return "too few to say"
    if check["Value"] is None and check["Low"] is None:
        return "undefined"
    value = "" if check["Value"] is None else f"<b>{_number(check['Value'])}</b>"
    if check["Low"] is None:
        return value
    ends = f"at least {_number(check['Low'])}"
    if check["High"] is not None:
        ends = f"{_number(check['Low'])} to {_number(check['High'])}"
    return f"{value} <small>{ends}</small>"


def _number(value: float) -> str:
    return escape(f"{value:.3g}" if abs(value) > 1 else f"{value:.3f}")


def _reason(one: Reason, *, described: bool) -> str:
    accepted = " (accepted)" if one.accepted else ""
    kind = "described" if described else "reason"
    return f'<p class="{kind}"><b>{escape(one.code)}</b>{accepted}: {escape(one.message)}</p>'


def _with_code(line: str) -> str:
    """Return a line with what is between backquotes as code."""
    parts = line.split("`")
    return "".join(f"<code>{escape(one)}</code>" if at % 2 else escape(one) for at, one in enumerate(parts))
