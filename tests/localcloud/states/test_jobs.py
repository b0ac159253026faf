"""SageMaker's jobs run by state machines."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def processing_job(client, name):
    """The description of the test's processing job after so many retries."""
    return lambda retries=0: client("sagemaker").describe_processing_job(ProcessingJobName=f"{name}-{retries}")


def test_a_job_is_run_to_its_end_and_its_description_is_the_result(client, run, processing, bucket, processing_job):
    ended = run({"Process": processing("a=1")})
    assert ended["status"] == "SUCCEEDED", ended
    job, result = processing_job(), ended["output"]
    assert result["ProcessingJobStatus"] == job["ProcessingJobStatus"] == "Completed"
    assert result["ProcessingEndTime"] == int(job["ProcessingEndTime"].timestamp() * 1000)
    written = client("s3").get_object(Bucket=bucket, Key="out/report/deep/files.json")["Body"].read()
    assert json.loads(written)["files"] == ["input/data/a.txt"]
    tags = client("sagemaker").list_tags(ResourceArn=job["ProcessingJobArn"])["Tags"]
    assert tags == [{"Key": "MANAGED_BY_AWS", "Value": "STARTED_BY_STEP_FUNCTIONS"}]


def test_a_training_job_gives_its_artifact_to_what_comes_after(client, run, bucket, job_role, name):
    request = {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": "x", "TrainingInputMode": "File"},
        "RoleArn": job_role,
        "HyperParameters": "{% $merge([{'seed': '0'}, $states.input.More]) %}",
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": "{% 2 - 1 %}", "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    train = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sagemaker:createTrainingJob.sync",
        "Arguments": request,
        "Assign": {"artifact": "{% $states.result.ModelArtifacts.S3ModelArtifacts %}"},
        "Next": "After",
    }
    ended = run({"Train": train, "After": {"Type": "Succeed", "Output": "{% $artifact %}"}}, {"More": {"print": "x"}})
    assert ended.get("output") == f"s3://{bucket}/out/{name}/output/model.tar.gz", ended
    assert client("sagemaker").describe_training_job(TrainingJobName=name)["HyperParameters"]["seed"] == "0"


def test_a_job_that_fails_fails_the_task_with_its_description(run, processing):
    ended = run({"Process": processing("exit=3", "message=no slices")})
    assert (ended["status"], ended["error"]) == ("FAILED", "States.TaskFailed")
    description = json.loads(ended["cause"])
    assert description["ExitMessage"] == "no slices"
    assert description["FailureReason"] == "AlgorithmError: no slices, exit code: 3"
    assert isinstance(description["CreationTime"], int)


def test_a_failure_is_caught_and_reported(run, processing):
    caught = {
        "ErrorEquals": ["States.ALL"],
        "Assign": {"error": "{% $states.errorOutput.Error %}"},
        "Output": {"reason": "{% $parse($states.errorOutput.Cause).FailureReason %}"},
        "Next": "Report",
    }
    report = {"Type": "Pass", "Output": {"error": "{% $error %}", "input": "{% $states.input %}"}, "End": True}
    ended = run({"Process": processing("exit=1", Catch=[caught]), "Report": report})
    assert ended["output"] == {"error": "States.TaskFailed", "input": {"reason": "AlgorithmError: , exit code: 1"}}


@pytest.mark.parametrize(
    ("changes", "error", "cause"),
    [
        ({"RoleArn": "arn:aws:iam::000000000000:role/none"}, "SageMaker.AmazonSageMakerException", "iam:PassRole"),
        (
            {"ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 5}}},
            "SageMaker.AmazonSageMakerException",
            "Error Code: ValidationException",
        ),
        ({"ProcessingInputs": [{"InputName": "x", "Nonsense": 1}]}, "States.Runtime", "Nonsense"),
    ],
)
def test_what_sagemaker_refuses_has_the_names_of_aws(run, processing, changes, error, cause):
    task = processing()
    task["Arguments"].update(changes)
    ended = run({"Process": task})
    assert ended["error"] == error
    assert cause in ended["cause"]


def test_a_name_that_is_used_up_has_its_own_error(run, processing, machine, start, finished):
    arn = machine({"Process": processing()})
    first = finished(start(arn))
    assert first["status"] == "SUCCEEDED", first["cause"]
    again = finished(start(arn))
    assert again["error"] == "SageMaker.ResourceInUseException"


def test_every_try_has_its_own_name(client, run, processing, name):
    retry = {"ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 1, "MaxAttempts": 1}
    assert run({"Process": processing("exit=1", Retry=[retry])})["error"] == "States.TaskFailed"
    jobs = client("sagemaker").list_processing_jobs(NameContains=name)["ProcessingJobSummaries"]
    assert [job["ProcessingJobName"] for job in jobs] == [f"{name}-1", f"{name}-0"]


def test_a_full_account_is_waited_for(client, machine, start, finished, processing, bucket, job_role, name, until):
    sagemaker, full = client("sagemaker"), f"{name}-full"
    sagemaker.create_training_job(
        TrainingJobName=full,
        AlgorithmSpecification={"TrainingImage": "x", "TrainingInputMode": "File"},
        RoleArn=job_role,
        HyperParameters={"sleep": "60"},
        OutputDataConfig={"S3OutputPath": f"s3://{bucket}/out"},
        ResourceConfig={"InstanceType": "ml.m5.xlarge", "InstanceCount": 8, "VolumeSizeInGB": 10},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )
    limited = ["SageMaker.ResourceLimitExceededException"]
    retry = {"ErrorEquals": limited, "IntervalSeconds": 1, "BackoffRate": 1.5, "MaxDelaySeconds": 2, "MaxAttempts": 60}
    arn = start(machine({"Process": processing(Retry=[retry])}))

    def refusals():
        events = client("stepfunctions").get_execution_history(executionArn=arn)["events"]
        return [event["taskFailedEventDetails"]["error"] for event in events if event["type"] == "TaskFailed"]

    until(refusals)
    sagemaker.stop_training_job(TrainingJobName=full)
    ended = finished(arn)
    assert ended["status"] == "SUCCEEDED", ended
    assert set(refusals()) == set(limited)
    assert ended["output"]["ProcessingJobName"] == f"{name}-{len(refusals())}"


@pytest.mark.parametrize(
    "action", ["sagemaker:CreateProcessingJob", "sagemaker:AddTags", "iam:PassRole", "sagemaker:DescribeProcessingJob"]
)
def test_the_role_of_the_state_machine_needs_each_permission(run, processing, action):
    ended = run({"Process": processing()}, without=action)
    assert ended["error"] == "SageMaker.AmazonSageMakerException"
    assert f"is not authorized to perform: {action}" in ended["cause"]


@pytest.fixture
def sleeping(client, processing_job, until):
    """Wait until the job has begun to sleep; its state machine is that of the test."""

    def wait():
        def working():
            try:
                return "ProcessingStartTime" in processing_job()
            except client("sagemaker").exceptions.ResourceNotFound:
                return False

        until(working)

    return wait


def test_a_stopped_execution_stops_its_job(
    client, machine, start, finished, processing, processing_job, sleeping, until
):
    caught = {"ErrorEquals": ["States.ALL"], "Next": "Never"}
    retry = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1}
    task = processing("sleep=60", Catch=[caught], Retry=[retry])
    never = {"Type": "Fail", "Error": "Caught"}
    arn = start(machine({"Process": task, "Never": never}))
    sleeping()
    client("stepfunctions").stop_execution(executionArn=arn, cause="enough")
    until(lambda: processing_job()["ProcessingJobStatus"] == "Stopped")
    ended = finished(arn)
    assert (ended["status"], ended["cause"]) == ("ABORTED", "enough")
    types = [event["type"] for event in client("stepfunctions").get_execution_history(executionArn=arn)["events"]]
    assert types[-1] == "ExecutionAborted"


def test_a_task_that_takes_too_long_stops_its_job(run, processing, processing_job, until):
    ended = run({"Process": processing("sleep=60", TimeoutSeconds="{% 3 + 3 %}")})
    assert ended["error"] == "States.Timeout"
    until(lambda: processing_job()["ProcessingJobStatus"] == "Stopped")


def test_a_state_machine_that_takes_too_long_stops_its_job(run, processing, processing_job, until):
    ended = run({"Process": processing("sleep=60")}, TimeoutSeconds=7)
    assert ended["status"] == "TIMED_OUT"
    until(lambda: processing_job()["ProcessingJobStatus"] == "Stopped")


def test_a_job_that_is_stopped_from_outside_fails_the_task(
    client, machine, start, finished, processing, sleeping, name
):
    arn = start(machine({"Process": processing("sleep=60")}))
    sleeping()
    client("sagemaker").stop_processing_job(ProcessingJobName=f"{name}-0")
    assert finished(arn)["error"] == "States.TaskFailed"
