"""Signature Version 4, verified for every request: the emulator itself accepts its root keys with any signature."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from localcloud.access.key import Key
from localcloud.access.requests import Refused, Request
from localcloud.account import ACCOUNT_ID
from localcloud.patches.patching import emulator

# Client and server share one clock, so only the time that a request takes to arrive counts.
SKEW = timedelta(minutes=5)
LONGEST_PRESIGNED = timedelta(days=7)
_ALGORITHM = "AWS4-HMAC-SHA256"
_DATE_FORMAT = "%Y%m%dT%H%M%SZ"
_CREDENTIAL = r"(?P<key>\w+)/(?P<day>\d{8})/(?P<region>[\w-]+)/(?P<service>[\w-]+)/aws4_request"
_AUTHORIZATION = re.compile(
    rf"{_ALGORITHM} +Credential={_CREDENTIAL}, *"
    r"SignedHeaders=(?P<headers>[\w.;-]+), *Signature=(?P<signature>[0-9a-f]{64})",
    re.ASCII,
)
_QUERY_CREDENTIAL = re.compile(_CREDENTIAL, re.ASCII)
# The query of a presigned request, by SigV4 and by the versions before it.
_QUERY_NAMES = ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature", "Security-Token")
_OLD_QUERY_NAMES = frozenset({"awsaccesskeyid", "signatureversion"})
_DIGEST = re.compile(r"[0-9a-f]{64}")
# Bodies that a signature excludes by name, or signs in parts.
_UNDIGESTED = frozenset(
    {
        "UNSIGNED-PAYLOAD",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    }
)


@dataclass(frozen=True)
class Claim:
    """The signature that a request carries, not verified yet; `signature` has the emulator's type."""

    signature: Any
    token: str
    presigned: bool


class Signatures:
    """Verifies requests with the key of the home and the sessions that the emulator has issued."""

    def __init__(self, key: Key):
        self._key = key
        self._sigv4 = emulator("core.sigv4", "HeaderSignature", "header_signature_failure")
        self._evaluator = emulator("core.iam_evaluator", "is_root_access_key", "resolve_credential")

    def claim(self, request: Request) -> Claim:
        """Check all that needs no body and return the claim; raise Refused for a request that cannot be genuine."""
        names = {name.lower() for name in request.query}
        in_query = bool(names & {f"x-amz-{name.lower()}" for name in _QUERY_NAMES} or names & _OLD_QUERY_NAMES)
        if "authorization" in request.headers and in_query:
            raise Refused("InvalidRequest", "A request is signed in its header or in its query, not in both.")
        if "authorization" in request.headers:
            claim = self._of_header(request)
        elif in_query:
            claim = self._of_query(request)
        else:
            raise Refused(
                "MissingAuthenticationToken",
                "The local cloud takes signed requests only. Set AWS_CONFIG_FILE to the file aws.config in its folder.",
            )
        self._secret(claim)
        _check_signed_headers(claim, request)
        return claim

    def verify(self, claim: Claim, request: Request, body: bytes) -> None:
        """Raise Refused unless the signature fits this request and this body."""
        digest = request.headers.get("x-amz-content-sha256")
        if digest is not None and digest not in _UNDIGESTED and digest != hashlib.sha256(body).hexdigest():
            raise Refused("SignatureDoesNotMatch", "The body is not the one that was signed.")
        failure = self._sigv4.header_signature_failure(
            claim.signature,
            self._secret(claim),
            request.method,
            request.raw_path,
            request.query,
            request.headers,
            body,
            presigned=claim.presigned,
        )
        if failure is not None:
            raise Refused(*failure)

    def _of_header(self, request: Request) -> Claim:
        found = _AUTHORIZATION.fullmatch(request.headers["authorization"])
        if found is None:
            raise Refused("IncompleteSignature", f"The header Authorization is no {_ALGORITHM} signature.")
        date = request.headers.get("x-amz-date", "")
        if abs(datetime.now(UTC) - _instant(date)) > SKEW:
            raise Refused("RequestTimeTooSkewed", f"The request was signed at {date}, more than {SKEW} from now.")
        return self._claim(found, found["headers"], found["signature"], date, _token(request.headers), presigned=False)

    def _of_query(self, request: Request) -> Claim:
        values = {name: _only(request.query, f"X-Amz-{name}") for name in _QUERY_NAMES}
        found = _QUERY_CREDENTIAL.fullmatch(values["Credential"])
        if values["Algorithm"] != _ALGORITHM or found is None or not _DIGEST.fullmatch(values["Signature"]):
            raise Refused("IncompleteSignature", f"The query has no whole {_ALGORITHM} signature.")
        expires = values["Expires"]
        if not re.fullmatch(r"[0-9]{1,6}", expires) or not timedelta(0) < _seconds(expires) <= LONGEST_PRESIGNED:
            raise Refused(
                "IncompleteSignature", f"X-Amz-Expires is {expires!r}, where 1 to 604800 seconds are expected."
            )
        age = datetime.now(UTC) - _instant(values["Date"])
        if not -SKEW <= age <= _seconds(expires):
            raise Refused("RequestExpired", "The presigned request has expired, or is not valid yet.")
        return self._claim(
            found,
            values["SignedHeaders"],
            values["Signature"],
            values["Date"],
            values["Security-Token"],
            presigned=True,
        )

    def _claim(
        self, found: re.Match[str], headers: str, signature: str, date: str, token: str, *, presigned: bool
    ) -> Claim:
        made = self._sigv4.HeaderSignature(
            found["key"], found["day"], found["region"], found["service"], headers, signature, date
        )
        return Claim(made, token, presigned)

    def _secret(self, claim: Claim) -> str:
        """Return the secret of the claimed key; raise Refused for a key of neither the home nor a session."""
        access_key_id = claim.signature.access_key_id
        if hmac.compare_digest(access_key_id, self._key.access_key_id) and not claim.token:
            return self._key.secret_access_key
        # The emulator takes `test` and every account number as its administrator's key, and their secret is public.
        if not self._evaluator.is_root_access_key(access_key_id):
            credential = self._evaluator.resolve_credential(access_key_id, ACCOUNT_ID, claim.token)
            if hasattr(credential, "secret_access_key"):
                return str(credential.secret_access_key)
            raise Refused(credential.code, credential.message)
        raise Refused(
            "InvalidClientTokenId",
            "This is not the key of the local cloud. Set AWS_CONFIG_FILE to the file aws.config in its folder.",
        )


def _check_signed_headers(claim: Claim, request: Request) -> None:
    """Raise Refused unless the signature covers the host and every x-amz- header, as AWS requires."""
    signed = claim.signature.signed_headers.split(";")
    for name in request.headers:
        if (name == "host" or name.startswith("x-amz-")) and name not in signed:
            raise Refused("SignatureDoesNotMatch", f"The header {name} is not signed.")


def _instant(date: str) -> datetime:
    try:
        return datetime.strptime(date, _DATE_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise Refused(
            "IncompleteSignature", f"X-Amz-Date is {date[:20]!r}, where YYYYMMDDTHHMMSSZ is expected."
        ) from None


def _seconds(text: str) -> timedelta:
    return timedelta(seconds=int(text))


def _token(headers: dict[str, str]) -> str:
    return headers.get("x-amz-security-token", "")


def _only(query: dict[str, list[str]], name: str) -> str:
    """Return the value of `name` in the query, "" when absent; raise Refused if it comes twice or in another case."""
    values = [value for found in query if found.lower() == name.lower() for value in query[found]]
    if len(values) > 1 or (values and name not in query):
        raise Refused("IncompleteSignature", f"{name} must be in the query once, spelled like this.")
    return values[0] if values else ""
