"""What the state machine of a retraining expects of JSONata, of states and of their history."""

from __future__ import annotations

import hashlib
import json

import pytest


def passed(output, **members):
    return {"Type": "Pass", "Output": output, "End": True, **members}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("$substring($hash($states.context.Execution.Name, 'SHA-256'), 0, 12)", None),
        ("$states.input.one", ["a"]),
        ("$states.input.objects.Code", "X"),
        ("[$states.input.objects.Code]", ["X"]),
        ("[$states.input.none, $states.input.objects]", [{"Code": "X", "Null": None}]),
        ("$states.input.objects", [{"Code": "X", "Null": None}]),
        ("$append($states.input.one, 'b')", ["a", "b"]),
        ("$merge([{'epochs': '1', 'seed': '2'}, {'seed': $string($states.input.seed)}])", {"epochs": "1", "seed": "0"}),
        ("$states.input.empty", {}),
        ("$states.input.empty.Arn ? 'some' : 'none'", "none"),
        ("$join($states.input.objects.('- ' & Code), '\\n')", "- X"),
        ("$join([])", ""),
        ("$states.context.State.Name & $states.context.State.RetryCount", "Pass0"),
        ('$parse(\'{"FailureReason": "x"}\').FailureReason', "x"),
        ('$match(\'{"FailureReason": "few"}\', /"(FailureReason)":\\s*"([^"]+)/).groups[1]', "few"),
    ],
)
def test_expressions(run, expression, value):
    document = {"one": ["a"], "none": [], "objects": [{"Code": "X", "Null": None}], "empty": {}, "seed": 0}
    ended = run({"Pass": passed(f"{{% {expression} %}}")}, document)
    assert ended["status"] == "SUCCEEDED", ended
    expected = hashlib.sha256(ended["name"].encode()).hexdigest()[:12] if value is None else value
    assert ended["output"] == expected


@pytest.mark.parametrize("expression", ["$states.input.absent", "$unbound", "$number('x')"])
def test_what_is_undefined_or_wrong_fails(run, expression):
    assert run({"Pass": passed(f"{{% {expression} %}}")})["error"] == "States.QueryEvaluationError"


def test_variables_are_assigned_all_at_once_and_last(run):
    first = {"Type": "Pass", "Assign": {"a": 1, "b": 2}, "Next": "Swap"}
    swap = {"Type": "Pass", "Assign": {"a": "{% $b %}", "b": "{% $a %}"}, "Next": "End"}
    end = {"Type": "Succeed", "Output": {"a": "{% $a %}", "b": "{% $b %}"}}
    assert run({"First": first, "Swap": swap, "End": end})["output"] == {"a": 2, "b": 1}


def test_a_choice_has_an_output_for_each_way(run):
    rule = {"Condition": "{% $states.input.n > 5 %}", "Output": "large", "Assign": {"size": "L"}, "Next": "End"}
    choice = {"Type": "Choice", "Choices": [rule], "Default": "End", "Output": "small", "Assign": {"size": "S"}}
    end = {"Type": "Succeed", "Output": "{% $states.input & ' ' & $size %}"}
    states = {"Choice": choice, "End": end}
    assert run(states, {"n": 6})["output"] == "large L"
    assert run(states, {"n": 5})["output"] == "small S"


def test_a_choice_without_a_way_fails_and_so_does_a_condition_that_is_neither_true_nor_false(run):
    choice = {"Type": "Choice", "Choices": [{"Condition": "{% $states.input.n = 1 %}", "Next": "End"}]}
    states = {"Choice": choice, "End": {"Type": "Succeed"}}
    assert run(states, {"n": 2})["error"] == "States.NoChoiceMatched"
    choice["Choices"][0]["Condition"] = "{% $states.input.n %}"
    ended = run(states, {"n": 2})
    assert ended["error"] == "States.QueryEvaluationError"
    assert "Expected 'boolean'" in ended["cause"]


def test_a_fail_state_computes_error_and_cause(run):
    failed = {"Type": "Fail", "Error": "{% $states.input.e %}", "Cause": "{% 'because ' & $states.input.c %}"}
    ended = run({"Fail": failed}, {"e": "Own.Error", "c": "of it"})
    assert (ended["status"], ended["error"], ended["cause"]) == ("FAILED", "Own.Error", "because of it")
    assert "output" not in ended


def test_the_history_shows_where_a_run_is_and_its_requests(client, machine, start, finished, processing, name):
    arn = start(machine({"Process": processing()}), {"x": 1})
    finished(arn)
    events = client("stepfunctions").get_execution_history(executionArn=arn)["events"]
    assert [event["type"] for event in events] == [
        "ExecutionStarted",
        "TaskStateEntered",
        "TaskScheduled",
        "TaskStarted",
        "TaskSubmitted",
        "TaskSucceeded",
        "TaskStateExited",
        "ExecutionSucceeded",
    ]
    assert [event.get("previousEventId", 0) for event in events] == [0, 0, 2, 3, 4, 5, 6, 7]
    assert events[1]["stateEnteredEventDetails"]["name"] == "Process"
    scheduled = events[2]["taskScheduledEventDetails"]
    assert (scheduled["resourceType"], scheduled["resource"]) == ("sagemaker", "createProcessingJob.sync")
    assert scheduled["region"] == "us-east-1"
    assert json.loads(scheduled["parameters"])["ProcessingJobName"] == f"{name}-0"
    submitted = json.loads(events[4]["taskSubmittedEventDetails"]["output"])
    assert submitted["ProcessingJobArn"].endswith(f"processing-job/{name}-0")


def test_the_state_that_a_run_is_in_can_be_seen(client, machine, start, until):
    states = {"First": {"Type": "Pass", "Next": "Second"}, "Second": {"Type": "Wait", "Seconds": 60, "End": True}}
    arn = start(machine(states))

    def current():
        newest = client("stepfunctions").get_execution_history(executionArn=arn, reverseOrder=True)["events"]
        return next((e["stateEnteredEventDetails"]["name"] for e in newest if e["type"].endswith("StateEntered")), None)

    until(lambda: current() == "Second")
    (listed,) = client("stepfunctions").list_executions(stateMachineArn=arn_of_machine(arn))["executions"]
    assert (listed["executionArn"], listed["status"]) == (arn, "RUNNING")
    client("stepfunctions").stop_execution(executionArn=arn)
    until(lambda: client("stepfunctions").describe_execution(executionArn=arn)["status"] == "ABORTED")


def arn_of_machine(execution_arn):
    return execution_arn.replace(":execution:", ":stateMachine:").rpartition(":")[0]


def test_the_same_start_again_is_the_same_execution_while_it_runs(client, machine, start, name):
    arn = machine({"Wait": {"Type": "Wait", "Seconds": 60, "End": True}})
    first = start(arn, {"a": 1}, name=name)
    assert start(arn, {"a": 1}, name=name) == first
    exists = client("stepfunctions").exceptions.ExecutionAlreadyExists
    with pytest.raises(exists):
        start(arn, {"a": 2}, name=name)
    client("stepfunctions").stop_execution(executionArn=first)
    with pytest.raises(exists):
        start(arn, {"a": 1}, name=name)


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"input": "{"}, "InvalidExecutionInput"),
        ({"input": json.dumps("x" * 262_144)}, "InvalidExecutionInput"),
        ({"name": "a b"}, "InvalidName"),
        ({"name": "a:b"}, "InvalidName"),
    ],
)
def test_a_start_that_is_wrong_is_refused(client, machine, request_, error):
    arn = machine({"Pass": {"Type": "Pass", "End": True}})
    with pytest.raises(getattr(client("stepfunctions").exceptions, error)):
        client("stepfunctions").start_execution(stateMachineArn=arn, **request_)


def test_every_change_of_an_execution_is_an_event(client, queue, received, machine, start, finished, name):
    url, arn = queue("-events")
    statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "*", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    machine_arn = machine({"Fail": {"Type": "Fail", "Error": "E", "Cause": "C"}})
    pattern = {"source": ["aws.states"], "detail": {"stateMachineArn": [machine_arn]}}
    client("events").put_rule(Name=name, EventPattern=json.dumps(pattern))
    client("events").put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    finished(start(machine_arn))
    details = {event["detail"]["status"]: event["detail"] for event in received(url, seconds=3)}
    assert sorted(details) == ["FAILED", "RUNNING"]
    assert (details["FAILED"]["error"], details["FAILED"]["cause"]) == ("E", "C")


def test_a_failed_task_is_entered_again_after_a_wait_that_a_variable_gives(run, processing):
    """The workflow waits for room so: the catch assigns, the wait counts, and a choice leads back to the job."""
    failed = {"ErrorEquals": ["States.ALL"], "Assign": {"failure": "{% $states.errorOutput.Error %}"}, "Next": "Again?"}
    first = {"Type": "Pass", "Assign": {"waits": 0}, "Next": "Job"}
    again = {"Condition": "{% $waits < 2 and $failure = 'States.TaskFailed' %}", "Next": "Wait"}
    seconds = "{% $waits < 1 ? [1, 2][$waits] : 0 %}"
    job = processing("exit=1", Catch=[failed])
    job["Arguments"]["ProcessingJobName"] = job["Arguments"]["ProcessingJobName"].replace(
        "$states", "$waits & '-' & $states"
    )
    states = {
        "First": first,
        "Job": job,
        "Again?": {"Type": "Choice", "Choices": [again], "Default": "End"},
        "Wait": {"Type": "Wait", "Seconds": seconds, "Assign": {"waits": "{% $waits + 1 %}"}, "Next": "Job"},
        "End": {"Type": "Succeed", "Output": "{% $waits %}"},
    }
    ended = run(states)
    assert (ended["status"], ended.get("output")) == ("SUCCEEDED", 2), ended
