"""A boto3 session whose clients all go to the local cloud, whatever AWS settings the person at the keyboard has."""

from __future__ import annotations

from typing import Any

import boto3
import botocore.session

from wetread.local.account import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY
from wetread.local.home import Home


class LocalSession(boto3.Session):
    """A session with the local administrator's credentials and the local endpoint as every client's default."""

    def __init__(self, endpoint: str, home: Home):
        core = botocore.session.Session()
        core.set_config_variable("config_file", str(home.aws_config))
        core.set_config_variable("credentials_file", str(home.aws_config))
        core.set_config_variable("profile", "default")
        super().__init__(
            aws_access_key_id=ACCESS_KEY_ID,
            aws_secret_access_key=SECRET_ACCESS_KEY,
            region_name=REGION,
            botocore_session=core,
        )
        self._endpoint = endpoint

    def client(self, *arguments: Any, **options: Any) -> Any:
        """Like boto3's, with the local endpoint unless another is given."""
        return super().client(*arguments, **{"endpoint_url": self._endpoint, **options})

    def resource(self, *arguments: Any, **options: Any) -> Any:
        """Like boto3's, with the local endpoint unless another is given."""
        return super().resource(*arguments, **{"endpoint_url": self._endpoint, **options})


def write_aws_config(endpoint: str, home: Home) -> None:
    """Write a configuration file that takes any AWS tool to the local cloud, by AWS_CONFIG_FILE."""
    home.aws_config.write_text(
        "[default]\n"
        f"region = {REGION}\n"
        f"endpoint_url = {endpoint}\n"
        f"aws_access_key_id = {ACCESS_KEY_ID}\n"
        f"aws_secret_access_key = {SECRET_ACCESS_KEY}\n"
    )
