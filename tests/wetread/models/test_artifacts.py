"""An artifact is taken from where a person says that it is."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.fakes.wire import client_error
from wetread.models.artifacts import at_hand
from wetread.problems import ConfigProblem


@pytest.fixture
def connection() -> Any:
    def download_file(bucket: str, key: str, path: str) -> None:
        if (bucket, key) != ("lab", "runs/a/model.tar.gz"):
            raise client_error("404", "Not Found")
        with open(path, "wb") as file:  # noqa: PTH123 (the name of a file, as boto3 takes it)
            file.write(b"packed")

    return SimpleNamespace(s3=SimpleNamespace(download_file=download_file))


def test_a_file_is_taken_where_it_lies(connection, tmp_path) -> None:
    file = tmp_path / "model.tar.gz"
    file.write_bytes(b"packed")
    with at_hand(connection, str(file)) as path:
        assert path == file
    assert file.exists()


def test_an_object_is_here_for_as_long_as_it_is_needed(connection) -> None:
    with at_hand(connection, "s3://lab/runs/a/model.tar.gz") as path:
        assert path.read_bytes() == b"packed"
    assert not path.exists()


@pytest.mark.parametrize(
    ("artifact", "expected"),
    [
        ("absent.tar.gz", "no file 'absent.tar.gz'"),
        ("s3://lab", "'s3://lab' is not of the form"),
        ("s3://lab/other.tar.gz", "no object s3://lab/other.tar.gz"),
    ],
)
def test_what_is_not_there_is_reported(connection, artifact, expected) -> None:
    with pytest.raises(ConfigProblem, match=expected), at_hand(connection, artifact):
        pass
