"""A real boto3 session with requests answered here, to see what the SageMaker SDK sends.

botocore checks every request against the service's own model before it is sent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ClientError


@dataclass
class Aws:
    """``answers``: operation -> a document or an error. ``sent``: operation and document of each request, in order."""

    answers: dict[str, dict[str, Any] | ClientError]
    sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def session(self) -> boto3.Session:
        """Return a session that reaches nothing but this object."""
        session = boto3.Session("AKIA", "secret", region_name="us-east-1")
        session.events.register("before-send", self._answer)
        return session

    def _answer(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        target = request.headers.get("X-Amz-Target", b"")
        operation = target.decode().rpartition(".")[2] or request.url
        self.sent.append((operation, json.loads(request.body or b"{}")))
        answer, status = self.answers[operation], 200
        if isinstance(answer, ClientError):
            error = answer.response["Error"]
            answer, status = {"__type": error["Code"], "message": error["Message"]}, 400
        response = AWSResponse(request.url, status, {"Content-Type": "application/x-amz-json-1.1"}, None)
        response._content = json.dumps(answer).encode()
        return response
