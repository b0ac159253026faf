"""A boto3 session with clients of the local cloud, whatever AWS settings the user has.

They include proxies: botocore would send every request to them, with the bytes of uploads.
"""

from __future__ import annotations

from typing import Any

import boto3
import botocore.session
from botocore.config import Config

from localcloud.access.key import Key
from localcloud.account import REGION
from localcloud.home import Home, write_private


class LocalSession(boto3.Session):
    """A session with the local administrator's credentials, and the local endpoint as every client's default."""

    def __init__(self, endpoint: str, home: Home, key: Key):
        core = botocore.session.Session()
        core.set_config_variable("config_file", str(home.aws_config))
        core.set_config_variable("credentials_file", str(home.aws_config))
        core.set_config_variable("profile", "default")
        core.set_default_client_config(Config(proxies={}))
        super().__init__(
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key,
            region_name=REGION,
            botocore_session=core,
        )
        self._endpoint = endpoint

    def client(self, *arguments: Any, **options: Any) -> Any:
        """Return a client or resource as boto3 does, with the local endpoint unless another is given."""
        return super().client(*arguments, **{"endpoint_url": self._endpoint, **options})

    def resource(self, *arguments: Any, **options: Any) -> Any:
        """Return a client or resource as boto3 does, with the local endpoint unless another is given."""
        return super().resource(*arguments, **{"endpoint_url": self._endpoint, **options})


def write_aws_config(endpoint: str, home: Home, key: Key) -> None:
    """Write a configuration file that directs any AWS tool to the local cloud, by AWS_CONFIG_FILE.

    It selects SigV4 for presigned URLs, the only signature that the local cloud takes; some SDKs default to older ones.
    """
    write_private(
        home.aws_config,
        "[default]\n"
        f"region = {REGION}\n"
        f"endpoint_url = {endpoint}\n"
        f"aws_access_key_id = {key.access_key_id}\n"
        f"aws_secret_access_key = {key.secret_access_key}\n"
        "s3 =\n"
        "    signature_version = s3v4\n"
        "    addressing_style = path\n",
    )
