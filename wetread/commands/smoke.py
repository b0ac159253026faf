"""``wetread smoke``: small probes of a fresh deployment, and a table of what was seen."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Generator
from typing import TYPE_CHECKING

import click

from wetread.commands.rollback import on_a_terminal
from wetread.commands.session import Session, pass_session
from wetread.connection import Connection
from wetread.console import note
from wetread.problems import ConfigProblem, Interruption, Problem
from wetread.smoke import account, cost
from wetread.smoke.table import Line, Probe, Verdict, ask, markdown

if TYPE_CHECKING:
    from wetread.smoke.phantoms import Marks


@click.command()
@click.option("--yes", is_flag=True, help="Start without asking.")
@pass_session
def smoke(session: Session, *, yes: bool) -> None:
    """Try a deployment once, for cents: uploads, a training run, an alarm, the endpoint; print what was seen.

    All objects are phantoms of one invented study. The training run cannot be promoted, so no answer of the service
    changes. Ctrl-C ends its run and its endpoint, and prints the lines so far.
    """
    from wetread import sdk  # noqa: PLC0415
    from wetread.extras import require  # noqa: PLC0415

    require("model", "`wetread smoke`")  # the phantoms need numpy and GDCM
    sdk.require()
    connection = session.connection
    note(f"It costs {cost.estimate(hosts(connection))}, and takes about an hour on AWS.")
    if not (yes or (on_a_terminal() and click.confirm("Start?", err=True))):
        raise ConfigProblem("Nothing was started.", "`--yes` starts it without asking.")
    from wetread.smoke.phantoms import Marks  # noqa: PLC0415

    marks = Marks.new()
    lines: list[Line] = []
    interrupted = False
    try:
        # Closed, a probe that was interrupted while its line was shown still ends what it started.
        with contextlib.closing(_all_lines(session, marks)) as found:
            for line in found:
                note(f"{line.verdict:<6} {line.number:<8} {line.what}: {line.seen}")
                lines.append(line)
    except (KeyboardInterrupt, Interruption):
        interrupted = True
    click.echo(markdown(lines))
    _say_left(connection, marks.study)
    if interrupted:
        raise Interruption("The lines above were seen before; what was started by this command was ended.")
    failed = [one for one in lines if one.verdict == Verdict.FAILED]
    if failed:
        raise Problem(f"{len(failed)} of {len(lines)} lines failed.", "docs/releasing.md says what each is about.")


def _all_lines(session: Session, marks: Marks) -> Generator[Line, None, None]:
    from wetread.smoke.serving import Serving  # noqa: PLC0415
    from wetread.smoke.training import Training  # noqa: PLC0415
    from wetread.smoke.uploads import Uploading  # noqa: PLC0415

    connection = session.connection
    training = Training(connection, marks, session.now())
    serving = Serving(connection, marks, lambda: training.candidate_uri)
    probes: dict[str, Probe] = {
        name: functools.partial(probe, connection)
        for name, probe in (
            ("account", account.examined),
            ("layer", account.packages),
            ("state machine", account.state_machine),
            ("missing artifact", account.missing_artifact),
            ("alarm", account.alarm),
        )
    }
    probes |= {
        "uploads": Uploading(connection, marks).lines,
        "training": training.lines,
        "endpoint": serving.lines,
    }
    for name, probe in probes.items():
        yield from ask(name, probe)


def hosts(connection: Connection) -> list[cost.Use]:
    """Return the hosts that the probes start, by the types that the stack names."""
    deployment = connection.deployment
    answer = connection.stepfunctions.describe_state_machine(stateMachineArn=deployment.training_state_machine_arn)
    states = json.loads(answer["definition"])["States"]
    processing = states["Audit"]["Arguments"]["ProcessingResources"]["ClusterConfig"]["InstanceType"]
    training = states["Train"]["Arguments"]["ResourceConfig"]["InstanceType"]
    return cost.uses(deployment.instance_type, training, processing)


def _say_left(connection: Connection, study: str) -> None:
    note("What stays: the phantoms' uploads, rows and results, the cohort, and the documents of the run. Erase them:")
    note(f"  {connection.called} erase --study {study} --yes")
    note("The run's artifact stays, and without a champion its copy below artifacts/ of the models bucket.")
