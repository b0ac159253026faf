"""``wetread doctor``: checks this machine and the service, and says what to do."""

from __future__ import annotations

import click

from wetread.commands.session import Session, pass_session
from wetread.console import note, print_json, print_table
from wetread.diagnosis import examine


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@pass_session
def doctor(session: Session, *, as_json: bool) -> None:
    """Check Python, packages, the cloud, the stack, the champion and the queues; each fault with its remedy."""
    findings = list(examine(session.choice, session.now(), note))
    if as_json:
        print_json([{"Name": f.name, "Well": f.well, "Found": f.found, "Remedy": f.remedy or None} for f in findings])
    else:
        lines = [("✓" if f.well else "✗", f.name, f.found, f.remedy) for f in findings]
        print_table(("", "Check", "Found", "Remedy"), lines, elastic=("Found", "Remedy"))
    faults = sum(not finding.well for finding in findings)
    note(f"{faults} of {len(findings)} need attention." if faults else "All is well.")
    if faults:
        raise click.exceptions.Exit(1)
