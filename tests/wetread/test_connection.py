"""The cloud is chosen by the options, and says which one it is."""

import boto3
import pytest
from botocore.stub import Stubber

from wetread import connection
from wetread.connection import Choice, connect
from wetread.problems import ConfigProblem


def choice(**changes: object) -> Choice:
    values = {"local": False, "profile": None, "region": "eu-west-1", "stack": "Wetread"}
    return Choice(**(values | changes))  # type: ignore[arg-type]


def test_aws_names_account_region_and_stack(monkeypatch) -> None:
    sts = boto3.client("sts", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(sts) as stubber:
        stubber.add_response("get_caller_identity", {"Account": "123456789012"})
        monkeypatch.setattr(boto3.Session, "client", lambda *_, **__: sts)
        assert connect(choice()).where == "AWS account 123456789012, region eu-west-1, stack Wetread"


@pytest.mark.parametrize(("pid", "said"), [(None, "does not run"), (1234, "runs, but does not answer")])
def test_a_local_cloud_that_cannot_be_spoken_to_is_a_wrong_setup_and_it_is_said_which(monkeypatch, pid, said) -> None:
    from localcloud import cloud
    from localcloud.host import process

    monkeypatch.setattr(cloud, "current", lambda _project: None)
    monkeypatch.setattr(process, "running", lambda _home: pid)
    with pytest.raises(ConfigProblem, match=f"The local cloud {said}. Start it with `wetread --local up`"):
        connect(choice(local=True))


def test_clients_retry_and_are_pooled_for_threads(monkeypatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    config = connect(choice()).client("s3").meta.config
    assert config.max_pool_connections == connection.POOL
    assert config.retries["mode"] == "standard"


def test_the_caller_is_asked_for_once_and_is_an_arn(monkeypatch) -> None:
    sts = boto3.client("sts", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
    arn = "arn:aws:iam::123456789012:user/kim"
    with Stubber(sts) as stubber:
        stubber.add_response("get_caller_identity", {"Arn": arn})
        monkeypatch.setattr(boto3.Session, "client", lambda *_, **__: sts)
        asked = connect(choice())
        assert (asked.caller_arn, asked.caller_arn) == (arn, arn)
