"""``wetread erase``: everything of a patient or a study, first shown, then erased; and what stays, for how long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set as AbstractSet

import click

from functions.domain.row import Row
from wetread.commands.rollback import on_a_terminal
from wetread.commands.session import Session, pass_session
from wetread.console import Bar, how_many, note, print_json, print_table, warn
from wetread.erasure.erasure import Erased, Erasing, Found
from wetread.erasure.remains import Remaining, remaining
from wetread.erasure.subjects import Patient, Study, Subject
from wetread.problems import ConfigProblem, Interruption, Problem


@click.command()
@click.option("--patient", help="Everything of this PatientID, as the files say it.")
@click.option("--issuer", default="", help="The IssuerOfPatientID, where files name one; with --patient.")
@click.option("--study", help="Everything of this StudyInstanceUID, as the files say it.")
@click.option("--yes", is_flag=True, help="Erase without asking.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found or erased, and what stays, as JSON.")
@pass_session
def erase(session: Session, *, patient: str | None, issuer: str, study: str | None, yes: bool, as_json: bool) -> None:
    """Erase everything of a patient or a study: uploads, copies, results, rows, and what training keeps.

    Shows first what there is and changes nothing; on a terminal it then asks, elsewhere --yes erases. Uploads that a
    job is reading are waited for. Interrupted, the same command continues. Ends with a list of what stays.
    """
    if (patient is None) == (study is None) or (issuer and patient is None):
        raise ConfigProblem("Name a patient or a study.", "--patient ID with or without --issuer, or --study UID.")
    connection = session.connection
    patients = connection.patients
    subject: Subject = Study(study, patients) if study is not None else Patient(patient or "", issuer, patients)
    erasing = Erasing(connection, subject)
    with Bar("Looking", None):
        found = erasing.find()
    _say_found(found, subject, as_json=as_json)
    if not found.counts():
        _say_nothing(found, as_json=as_json)
        return
    stays = remaining(connection, found.runs)
    if not (yes or (on_a_terminal() and click.confirm("Erase all of this, for good?", err=True))):
        note("Nothing was changed: `--yes` erases it.")
        if as_json:
            print_json({"Found": dict(found.counts()), "Erased": {}, "Stays": [one.to_json() for one in stays]})
        else:
            _say_remaining(stays)
        _exit_for(found.uploads.unclear, found.training.unclear, set(), found.undecided)
        return
    erased = _erase(erasing)
    stays = remaining(connection, sorted(erased.runs | set(found.runs)))
    if as_json:
        document = {"Found": dict(found.counts()), "Erased": dict(erased.counts)}
        print_json(document | {"Stays": [one.to_json() for one in stays]})
    else:
        _print_counts("Erased", erased.counts)
        _say_remaining(stays)
    _exit_for(erased.unclear, erased.unclear_entries, erased.unsure_labels, erased.undecided, erased.under_way)


def _erase(erasing: Erasing) -> Erased:
    try:
        with Bar("Erasing", None) as bar:
            return erasing.erase(lambda rows: bar.show(_waiting_for(len(rows))))
    except KeyboardInterrupt:
        raise Interruption("What was erased is erased; the same command continues with the rest.") from None


def _waiting_for(uploads: int) -> str:
    """Return what an erasure waits for: the job of so many uploads, or a study that is being closed."""
    return f"Waiting for the job of {how_many(uploads, 'upload')} to be over" if uploads else "Waiting for a study"


def _say_found(found: Found, subject: Subject, *, as_json: bool) -> None:
    if found.counts() and not as_json:
        _print_counts("Found", found.counts())
    if not isinstance(subject, Patient):
        return
    if not subject.has_issuer:
        note("Only objects that name no issuer were looked for; add --issuer for those of an issuer.")
    if subject.issuers_seen:
        others = ", ".join(repr(one) if one else "(no issuer)" for one in sorted(subject.issuers_seen))
        note(f"Objects with this PatientID and another issuer are another patient's and stay: {others}.")


def _say_nothing(found: Found, *, as_json: bool) -> None:
    if as_json:
        print_json({"Found": {}, "Erased": {}, "Stays": []})
    _exit_for(found.uploads.unclear, found.training.unclear, set(), found.undecided, found.training.under_way)
    note("Nothing was found: check the ID.")


def _print_counts(title: str, counts: Counter[str]) -> None:
    print_table((title, "Number"), [(kind, f"{number:,}") for kind, number in counts.items()])


def _say_remaining(stays: list[Remaining]) -> None:
    print_table(
        ("What stays", "How long", "Why"), [(one.what, one.how_long, one.why) for one in stays], elastic=("Why",)
    )


def _exit_for(
    unclear: list[Row],
    unclear_entries: int,
    unsure_labels: set[str],
    undecided: set[str],
    under_way: AbstractSet[str] = frozenset(),
) -> None:
    """Exit with 1 where a person has to decide, or to come again."""
    for run in sorted(under_way):
        warn(f"Training run {run} is under way: it may still write a picture or an entry of theirs.")
    for key in sorted(undecided):
        warn(f"{key!r} cannot be read as far as its patient.")
    for key in sorted(unsure_labels):
        warn(f"{key!r} was not understood, or still names a file of theirs: look at it.")
    studies = sorted({row.study_instance_uid or "" for row in unclear} - {""})
    if unclear or unclear_entries:
        raise Problem(
            f"{how_many(len(unclear), 'row')} and {unclear_entries} entries of snapshots have the hash of the bare "
            "PatientID, and their objects are gone: their issuer cannot be known.",
            "If they are theirs: " + ", ".join(f"`wetread erase --study {uid}`" for uid in studies)
            if studies
            else "Erase them by --study.",
        )
    if unsure_labels:
        raise Problem(f"{how_many(len(unsure_labels), 'file')} of labels must be looked at.", "Edit them by hand.")
    if undecided:
        raise Problem(
            f"{how_many(len(undecided), 'object')} may be theirs or another's, and stay as they are.",
            "Look at each, and delete by its key what is theirs.",
        )
    if under_way:
        raise Problem(
            f"{how_many(len(under_way), 'training run')} may have read slices of theirs before.",
            "Run the command again when they have ended; `aws stepfunctions stop-execution` ends one at once.",
        )
