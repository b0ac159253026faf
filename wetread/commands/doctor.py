"""``wetread doctor``: checks this machine and the service, and says what to do."""

from __future__ import annotations

import click

from wetread.commands.session import Session, pass_session
from wetread.console import Bar, as_called, how_many, note, print_json, print_table
from wetread.operations.check import CheckResult
from wetread.operations.diagnosis import examine
from wetread.operations.reconciliation import STILL_ARRIVING, Reconciliation
from wetread.problems import ConfigProblem


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.option(
    "--reconcile", is_flag=True, help="Also compare every object version of the uploads bucket with the index."
)
@click.option("--send", is_flag=True, help="With --reconcile: send what has no row to the service again.")
@pass_session
def doctor(session: Session, *, as_json: bool, reconcile: bool, send: bool) -> None:
    """Check this machine, the cloud, the stack, the service and what the account allows; each fault with its remedy.

    A check that may not ask, or gets no answer, is marked with "?" and stops no other. Exits with 1 if anything needs
    attention.

    --reconcile changes nothing: it counts the uploads without a row. With --send they are taken in as if they had just
    arrived.
    """
    if send and not reconcile:
        raise ConfigProblem("--send needs --reconcile, which finds what to send.", "Give both.")
    findings = list(examine(lambda: session.connection, session.choice.stack, session.now()))
    if reconcile and all(finding.well for finding in findings if finding.name in {"Cloud", "Stack"}):
        findings.append(reconciled(Reconciliation(session.connection, session.now()), send=send))
    if as_json:
        print_json(
            [
                {
                    "Name": f.name,
                    "Well": f.well if f.is_known else None,
                    "Found": f.found,
                    "Remedy": as_called(f.remedy) or None,
                }
                for f in findings
            ]
        )
    else:
        lines = [(_mark(f), f.name, f.found, as_called(f.remedy)) for f in findings]
        print_table(("", "Check", "Found", "Remedy"), lines, elastic=("Found", "Remedy"))
    faults = sum(not finding.well for finding in findings)
    unknown = sum(not finding.is_known for finding in findings)
    verdict = f"{faults} of {len(findings)} need attention." if faults else "All is well."
    note(f"{verdict} {how_many(unknown, 'check')} had no answer." if unknown else verdict)
    if faults:
        raise click.exceptions.Exit(1)


def _mark(finding: CheckResult) -> str:
    if not finding.is_known:
        return "?"
    return "✓" if finding.well else "✗"


def reconciled(reconciliation: Reconciliation, *, send: bool) -> CheckResult:
    """Return the findings of the comparison; with ``send``, also send the lost versions again."""
    with Bar("Comparing uploads with the index", None) as bar:
        for page in reconciliation.pages():
            if send:
                reconciliation.send(page)
            bar.show(f"Compared {how_many(reconciliation.looked_at, 'object version')} with the index")
    if reconciliation.too_young:
        young = how_many(reconciliation.too_young, "object version")
        verb = "was" if reconciliation.too_young == 1 else "were"
        minutes = STILL_ARRIVING.total_seconds() // 60
        note(f"{young} younger than {minutes:.0f} minutes {verb} left out.")
    found = f"{reconciliation.lost:,} of {how_many(reconciliation.looked_at, 'object version')}"
    name = "Uploads without a row"
    if send or not reconciliation.lost:
        return CheckResult(name, f"{found}{', sent again' if reconciliation.lost else ''}")
    return CheckResult(name, found, "Send them again: `wetread doctor --reconcile --send`.")
