"""One way to call AWS: clients made once, explicit time-outs, and botocore's errors turned into ours at this border."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from ratemyunit_ops.errors import Failed, Mistyped, Refused, RmuError, Unreachable

BAD_CREDENTIALS = frozenset({
    "AuthFailure", "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "InvalidToken",
    "RequestExpired", "SignatureDoesNotMatch", "UnrecognizedClientException",
})  # fmt: skip
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"})
THROTTLED = frozenset({
    "ProvisionedThroughputExceededException", "RequestLimitExceeded", "RequestThrottled", "Throttling",
    "ThrottlingException", "TooManyRequestsException",
})  # fmt: skip

NEXT_PAGE = ("NextToken", "nextToken", "Marker")
CONNECT_S = 3
READ_S = 10
ATTEMPTS = 3
LEDGER_READ_S = 4  # three tries of a heartbeat have to end well before the 20 s after which nobody may act


class Said(Refused):
    """The service answered with an error code of its own; the call changed nothing."""

    def __init__(self, what: str, *, code: str, response: dict[str, Any], next: str) -> None:
        super().__init__(what, next=next)
        self.code = code
        self.response = response


class LostAnswer(Failed):
    """A change was sent and its answer never came: it may have happened."""


@dataclass(frozen=True)
class Account:
    """Which account is reached, and how. Holds the clients it made.

    `start_hint` is what to type when the endpoint does not answer.
    """

    region: str
    endpoint: str | None = None
    profile: str | None = None
    access_key: str | None = None
    secret: str | None = field(default=None, repr=False)
    start_hint: str | None = None
    _clients: dict[tuple[str, bool], Any] = field(default_factory=dict, compare=False, repr=False)
    # botocore's sessions are not safe to share while clients are made; the lease's thread makes one too.
    _lock: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)

    def ask(self, service: str, operation: str, **arguments: Any) -> dict[str, Any]:
        """Call an operation that reads.

        Raises:
            Mistyped: no valid credentials.
            Refused: the caller may not; or Said, with the service's code.
            Unreachable: no answer after bounded retries.
        """
        return self._call(service, operation, arguments, change=False)

    def act(self, service: str, operation: str, *, once: bool = False, **arguments: Any) -> dict[str, Any]:
        """Call an operation that changes something; `once` sends it a single time, whatever happens.

        Raises what `ask` raises, and LostAnswer where the change may have happened.
        """
        return self._call(service, operation, arguments, change=True, once=once)

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> list[Any]:
        """Read every page of a listing."""
        found: list[Any] = []
        token: dict[str, Any] = {}
        while True:
            page = self.ask(service, operation, **arguments, **token)
            found += page.get(key, [])
            next_name = next((name for name in NEXT_PAGE if page.get(name)), None)
            if next_name is None:
                return found
            token = {next_name: page[next_name]}

    def credentials_end(self) -> datetime | None:
        """Tell when the credentials end; None where they do not, are renewed by themselves, or do not say it."""
        credentials = self._session.get_credentials()
        # Only those handed over in variables are never renewed. botocore keeps their end to itself.
        if credentials is None or credentials.method != "env":
            return None
        end: datetime | None = getattr(credentials, "_expiry_time", None)
        return end

    def _call(
        self, service: str, operation: str, arguments: dict[str, Any], *, change: bool, once: bool = False
    ) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        try:
            client = self._client(service, once)
            answer: dict[str, Any] = getattr(client, _snake(operation))(**arguments)
        except ClientError as why:
            raise self._said(service, operation, why.response, change) from why
        except (BotoCoreError, ResponseParserError) as why:  # the second: a page of HTML from something in between
            raise self._no_answer(service, operation, why, change) from why
        return answer

    def _client(self, service: str, once: bool) -> Any:
        with self._lock:
            if (service, once) not in self._clients:
                self._clients[(service, once)] = self._make(service, once)
            return self._clients[(service, once)]

    def _make(self, service: str, once: bool) -> Any:
        from botocore.config import Config

        config = Config(
            connect_timeout=CONNECT_S,
            read_timeout=LEDGER_READ_S if service == "dynamodb" else READ_S,
            retries={"mode": "standard", "total_max_attempts": 1 if once else ATTEMPTS},
            user_agent_extra="rmu",
        )
        return self._session.client(service, endpoint_url=self.endpoint, config=config)

    @cached_property
    def _session(self) -> Any:
        """One session for all clients: credentials are resolved once, and service models are read once."""
        import boto3

        return boto3.Session(
            profile_name=self.profile,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret,
        )

    def _said(self, service: str, operation: str, response: Any, change: bool) -> RmuError:
        code = str(response.get("Error", {}).get("Code", ""))
        text = str(response.get("Error", {}).get("Message", ""))
        status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code in BAD_CREDENTIALS:
            return self._bad_credentials(f"AWS does not accept the credentials: {code}")
        if code in DENIED:
            return Refused(f"the caller may not {service}:{operation}: {text}", next="rmu doctor")
        if code in THROTTLED:
            return Unreachable(f"{service}:{operation} is throttled: {text}", next="try again in a minute")
        if status >= 500:
            return self._silent(service, operation, f"it answered {status} {code}", change)
        return Said(f"{service}:{operation} answered {code}: {text}", code=code, response=response, next="rmu doctor")

    def _no_answer(self, service: str, operation: str, why: Exception, change: bool) -> RmuError:
        from botocore import exceptions as boto

        no_credentials = (
            boto.NoCredentialsError,
            boto.PartialCredentialsError,
            boto.CredentialRetrievalError,
            boto.ProfileNotFound,
            boto.SSOError,
            boto.TokenRetrievalError,
        )
        if isinstance(why, no_credentials):
            return self._bad_credentials(f"there are no valid credentials: {why}")
        if isinstance(why, boto.ParamValidationError):
            raise why  # our own mistake, not the outside's
        never_sent = isinstance(why, boto.EndpointConnectionError | boto.ConnectTimeoutError)
        return self._silent(service, operation, str(why), change and not never_sent)

    def _silent(self, service: str, operation: str, why: str, may_have_happened: bool) -> RmuError:
        if may_have_happened:
            return LostAnswer(
                f"the answer of {service}:{operation} never came: {why}",
                state="It may have happened.",
                next="rmu status",
            )
        return Unreachable(f"{service} does not answer: {why}", next=self.start_hint or "rmu doctor")

    def _bad_credentials(self, what: str) -> Mistyped:
        login = (
            f"aws sso login --profile {self.profile}" if self.profile else "aws configure   (or: export AWS_PROFILE)"
        )
        return Mistyped(what, next=login)


def _snake(operation: str) -> str:
    from botocore import xform_name

    return str(xform_name(operation))
