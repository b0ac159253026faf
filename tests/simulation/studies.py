"""What must hold of studies: throughout, and when nothing moves any more."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from functions.aws.study_items import MEMBER, REVISION
from functions.domain import layout
from functions.domain.member import Member, Part, is_member, member_of, packages, selected
from functions.domain.row import Row
from functions.domain.study import State
from functions.names import STUDIES, StudyEvent
from tests.fakes.world import RESULTS, World


class WatchedStudies:
    """The studies of one world: a revision never changes, and the last one is of all that there is."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.written: dict[str, tuple[Mapping[str, Any], bytes]] = {}

    @property
    def _items(self) -> Mapping[str, Mapping[str, Any]]:
        return self.world.dynamodb.tables["studies"]

    def check(self) -> None:
        """Check that each revision has its document, and neither has changed since it was written."""
        items = self._items
        for name in [name for name in self.written if name not in items]:  # erased
            del self.written[name]
        for name, item in items.items():
            known = self.written.get(name)
            if f"|{REVISION}" not in name or (known and known[0] == item):
                continue
            body = self.world.s3.objects[RESULTS, item["ResultKey"]["S"]]
            assert known is None or known == (item, body), "a revision changed"
            self._check_new(name, item, json.loads(body))
            self.written[name] = item, body

    def _check_new(self, name: str, item: Mapping[str, Any], document: Mapping[str, Any]) -> None:
        study, _, number = name.rpartition("#")
        assert (document["Revision"], document["Inputs"]) == (int(number), item["Inputs"]["S"])
        assert document["StudyInstanceUID"] == study.partition("|")[0]
        others = [one for other, (one, _) in self.written.items() if other != name]
        assert item["ResultKey"] not in [one["ResultKey"] for one in others], "two revisions have one document"

    @property
    def open(self) -> list[str]:
        """The names of the open studies."""
        return [name for name, item in self._items.items() if item.get("State", {}).get("S", "").startswith(State.OPEN)]

    def check_end(self) -> None:
        """Check that every study is closed, and that its last revision is what its rows say now."""
        assert not self.open, "a study is open for ever"
        assert not [name for name, item in self._items.items() if "Open" in item], "a closed study is in the index"
        self._check_events()
        by_study: dict[str, list[Row]] = {}
        for row in self.world.rows():
            if is_member(row):
                by_study.setdefault(row.study_instance_uid or "", []).append(row)
        for study, rows in by_study.items():
            self._check_study(study, rows)
        known = {row.upload_id for rows in by_study.values() for row in rows}
        listed = {name.rpartition("#")[2] for name in self._items if f"|{MEMBER}" in name}
        assert listed == known, "a member is missing, or one too many"

    def _check_events(self) -> None:
        """Check that each revision was announced, and each study's first in their order."""
        numbers: dict[str, list[int]] = {}
        for event in self.world.events.put:
            seen = numbers.setdefault(event["Detail"]["Study"], [])
            seen += [event["Detail"]["Revision"]] if event["Detail"]["Revision"] not in seen else []
        assert all(seen == sorted(seen) for seen in numbers.values()), "a revision was announced before an earlier one"
        for name in self.written:
            study, _, number = name.rpartition("#")
            assert int(number) in numbers[layout.study_hash(study.partition("|")[0])], "a revision was not announced"
            self._check_recall(name)

    def _check_recall(self, name: str) -> None:
        """Check that a revision by a withdrawn version was recalled by the next one, and announced as that."""
        study, _, number = name.rpartition("#")
        package = self.written[name][0].get("ModelPackage", {}).get("S")
        if package is None or self.world.champions.withdrawal(package) is None:
            return
        following = f"{study}#{int(number) + 1:06d}"
        assert following in self.written, "the answer of a withdrawn version is the last revision"
        recalled = self.written[following][0].get("Withdraws", {}).get("N")
        kinds = {
            event["DetailType"]
            for event in self.world.events.put
            if (event["Detail"]["Study"], event["Detail"]["Revision"])
            == (layout.study_hash(study.partition("|")[0]), int(number) + 1)
        }
        if recalled:  # a closing that read the rows before the withdrawal may have come between
            assert (recalled, kinds) == (str(int(number)), {StudyEvent.WITHDRAWN})

    def _check_study(self, study: str, rows: list[Row]) -> None:
        world = self.world
        members, _ = selected([member_of(row, world.concluding.rule) for row in rows], world.concluding.rule)
        state, revisions = world.studies.get(study), world.studies.revisions(study)
        assert state, "a study is not known"
        assert revisions, "a study was not read"
        assert state.revision == revisions[-1].number == state.announced
        document = json.loads(world.s3.objects[RESULTS, revisions[-1].result_key])
        assert document["Uploads"] == _parts(members), "the last revision is not of the rows as they are"
        withdrawn = any(one.part == Part.WITHDRAWN for one in members)
        if withdrawn or len(packages(members)) != 1:
            assert document["Class"] is None, "a class is of a part of the slices, or of what was withdrawn"
        else:
            assert document["Model"]["Package"] == packages(members)[0]

    def check_erased(self, theirs: set[str]) -> None:
        """Check that nothing of erased uploads is left in a study or its documents."""
        assert not [name for name in self._items if name.rpartition("#")[2] in theirs], "a member is left"
        for (bucket, key), body in self.world.s3.objects.items():
            if bucket == RESULTS and key.startswith(STUDIES):
                assert not [one for one in theirs if one in body.decode()], "a document names an erased upload"


def _parts(members: list[Member]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in members:
        found.setdefault(one.part.value, []).append(one.upload_id)
    return found
