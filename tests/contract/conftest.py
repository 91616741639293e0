"""One stand-in for AWS per test session, and an account that reaches it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from ratemyunit_ops.outside.aws.session import Account
from tests.contract.stand_in import StandIn, running
from tests.fakes.clock import FakeClock


@pytest.fixture(scope="session")
def server() -> Iterator[StandIn]:
    with running() as stand_in:
        yield stand_in


@pytest.fixture
def aws(server: StandIn) -> Iterator[StandIn]:
    server.reset()
    yield server
    server.reset()


@pytest.fixture(scope="session")
def one_account(server: StandIn) -> Account:
    return Account(region="us-east-1", endpoint=server.endpoint, access_key="test", secret="test")


@pytest.fixture
def account(aws: StandIn, one_account: Account) -> Account:
    """Reach the stand-in, free of the last test's faults; clients cost a tenth of a second each, so they are shared."""
    return one_account


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def environment() -> str:
    """Name an environment nobody else uses: moto's records outlive a test."""
    return f"t{uuid.uuid4().hex[:8]}"
