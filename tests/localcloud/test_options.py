from __future__ import annotations

import pytest

from localcloud.options import OptionError, Options
from tests.localcloud.example import PROJECT


def test_defaults_and_settings():
    options = Options.of(
        {"EXAMPLE_PORT": "4700", "EXAMPLE_SAGEMAKER_CREATE_RATE": "0.5", "EXAMPLE_HOME": "/x"}, PROJECT
    )
    assert (options.port, options.sagemaker_create_rate, options.lambda_concurrency) == (4700, 0.5, 2)


def test_a_value_that_is_no_number_is_named():
    with pytest.raises(OptionError, match=r"EXAMPLE_SAGEMAKER_INSTANCE_QUOTA is '1\.5', where int is expected"):
        Options.of({"EXAMPLE_SAGEMAKER_INSTANCE_QUOTA": "1.5"}, PROJECT)
