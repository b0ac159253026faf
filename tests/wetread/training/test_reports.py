"""A saved report has the verdict on top and the names of the person's files, which no page in the cloud has."""

import hashlib
import io
import json

import pytest

from functions.domain import layout
from functions.domain.layout import run_id
from tests.fakes.wire import client_error
from tests.fakes.workflow import entry
from wetread.training import reports
from wetread.training.run_report import Reason

RUN = run_id("one")
LABELS = "s3://training/cohorts/a/manifest.json"
PAGE = """<body><header><h1>x</h1></header>
<!-- verdict --><section class="awaited">wait</section><!-- /verdict -->
<td class="file" data-line="1"></td><span class="file" data-line="2"></span><td class="file" data-line="9"></td>
</body>"""
CHECK = {
    "What": "balanced accuracy",
    "Value": 0.8,
    "Low": 0.65,
    "High": 0.9,
    "TooFew": False,
    "Asks": "at least",
    "Bound": 0.7,
    "Compared": "Low",
    "Passed": False,
    "Code": "BalancedAccuracyTooLow",
}


def put(connection, key: str, document: object) -> None:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    connection.s3.put_object(Bucket="training", Key=key, Body=io.BytesIO(body), ContentType="")


@pytest.fixture
def ended(connection):
    """Makes a run that has ended, with a snapshot of two labelled files."""

    def end(outcome: str = "Rejected", page: str = PAGE, checks=(CHECK,), evaluated: bool = True, **output: object):
        labels = json.dumps([entry("s1/<b>Doe.dcm", "cap"), entry("b.dcm", "covid")]).encode()
        put(connection, "cohorts/a/manifest.json", labels)
        source = {"Uri": LABELS, "VersionId": "v", "SHA256": hashlib.sha256(labels).hexdigest()}
        put(connection, layout.snapshot_key(RUN), {"Source": source, "Slices": []})
        if checks:
            verdict = {"Schema": "verdict/1", "Passed": False, "Reasons": [], "Checks": list(checks)}
            put(connection, layout.model_gate_key(RUN), verdict)
        key = layout.report_key(RUN) if evaluated else layout.audit_report_key(RUN)
        put(connection, key, page.encode())
        uris = {"ReportUri": layout.uri("training", key)}
        uris |= {"EvaluationUri": layout.uri("training", layout.evaluation_key(RUN))} if evaluated else {}
        document = {"Outcome": outcome, "Run": RUN, "Reasons": []} | uris | output
        shown = {"output": json.dumps(document), "input": json.dumps({"LabelsUri": LABELS})}
        return connection.runs.describe(connection.executions.add("one", status="SUCCEEDED", **shown))

    return end


def saved(connection, run, tmp_path, *reasons: Reason) -> str:
    assert reports.save(connection, run, reasons, tmp_path / "r.html", "wetread") is not None
    return (tmp_path / "r.html").read_text()


def test_each_threshold_is_on_top_with_the_figure_and_whether_it_holds(connection, ended, tmp_path) -> None:
    held = CHECK | {"What": "AUC for <cap>", "Passed": True, "Code": "", "Compared": "Value"}
    few = CHECK | {"What": "sensitivity for cap", "Value": None, "Low": None, "High": None, "TooFew": True}
    run = ended(checks=(CHECK, held, few))
    text = saved(connection, run, tmp_path, Reason("BalancedAccuracyTooLow", "It is <low>.", accepted=False))
    assert "wait" not in text
    line = text.split("balanced accuracy</th>")[1].split("</tr>")[0]
    for said in ("0.800", "0.650 to 0.900", "at least 0.700, for the lower end of the interval", "does not hold"):
        assert said in line
    assert "<td>holds</td>" in text.split("AUC for &lt;cap&gt;</th>")[1].split("</tr>")[0]
    assert "too few to say" in text
    assert "<b>BalancedAccuracyTooLow</b>: It is &lt;low&gt;." in text
    assert text.index("Verdict") < text.index('data-line="1"')


def test_the_names_of_files_are_those_of_the_labels_escaped(connection, ended, tmp_path) -> None:
    run = ended()
    text = saved(connection, run, tmp_path, Reason("X", "Entry 2 is odd.", accepted=False))
    assert '<td class="file" data-line="1">s1/&lt;b&gt;Doe.dcm</td>' in text
    assert '<span class="file" data-line="2">b.dcm</span>' in text
    assert '<td class="file" data-line="9"></td>' in text
    assert "Entry 2 (b.dcm) is odd." in text
    stored = [body for (bucket, key), body in connection.s3.objects.items() if "cohorts" not in key]
    assert not any(b"Doe" in body for body in stored), "the cloud's page has no names"


@pytest.mark.parametrize("how", ["changed", "forbidden"])
def test_without_the_labels_the_report_is_saved_and_says_what_is_missing(
    connection, ended, tmp_path, monkeypatch, how
) -> None:
    run = ended()
    if how == "changed":
        put(connection, "cohorts/a/manifest.json", [entry("other.dcm", "cap")])
    else:
        read = connection.s3.get_object

        def denied(**request):
            if request["Key"].startswith("cohorts/"):
                raise client_error("AccessDenied", "no")
            return read(**request)

        monkeypatch.setattr(connection.s3, "get_object", denied)
    (missing,) = reports.save(connection, run, [], tmp_path / "r.html", "wetread")
    assert "without the names of files" in missing
    assert "other.dcm" not in (tmp_path / "r.html").read_text()


def test_a_page_and_a_verdict_of_an_earlier_release_are_completed_as_far_as_they_go(
    connection, ended, tmp_path
) -> None:
    run = ended(page="<body><header>x</header><p>y</p></body>", checks=())
    text = saved(connection, run, tmp_path, Reason("AUCTooLow", "It is low.", accepted=False))
    assert text.index("</header>") < text.index("Rejected: the champion is what it was.") < text.index("<p>y</p>")
    assert "wrote down no thresholds" in text
    assert "AUCTooLow" in text


def test_a_rejected_candidate_is_named_with_the_commands_that_use_it(connection, ended, tmp_path) -> None:
    text = saved(connection, ended(), tmp_path)
    uri = f"s3://training/runs/{RUN}/optimised/model.tar.gz"
    assert f"The candidate&#x27;s artifact is {uri}" in text
    assert f"<code>wetread model register {uri}</code>" in text


def test_a_run_that_was_refused_for_its_data_has_the_report_of_its_data(connection, ended, tmp_path) -> None:
    run = ended(evaluated=False, checks=())
    text = saved(connection, run, tmp_path, Reason("TooFewPatients", "Few.", accepted=True))
    assert "TooFewPatients</b> (accepted): Few." in text
    assert "artifact" not in text
    assert "no thresholds" not in text


def test_a_promoted_run_says_so_and_names_its_version(connection, ended, tmp_path) -> None:
    passed = CHECK | {"Passed": False, "Code": "TooFewToCompare"}
    run = ended("Promoted", checks=(passed,), ModelPackage="wetread/4")
    text = saved(connection, run, tmp_path, Reason("TooFewToCompare", "Few.", accepted=True))
    assert "Promoted: it is the champion since this run. Version wetread/4." in text
    assert "does not hold; the risk was accepted" in text
    assert "model register" not in text


def test_a_run_without_any_page_has_no_report(connection, tmp_path) -> None:
    run = connection.runs.describe(connection.executions.add("two", status="FAILED"))
    assert reports.save(connection, run, [], tmp_path / "r.html", "wetread") is None
    assert not (tmp_path / "r.html").exists()
