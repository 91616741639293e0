"""Does the work of an answer tell who has an account? Measured, side by side with a version that gives it away.

What is measured is the time that this process computes, not the time that passes: others share the machine.
"""

import time
from collections.abc import Iterator

import pytest
from conftest import Cluster
from fastapi import FastAPI
from people import newcomer, running

from ratemyunit import passwords

TRIES = 25
# Of two that are the same work each is the slower one half of the times. By chance alone 25 pairs of tries stray from
# that by 0.082 (standard deviation); 0.34 is four times as much.
FAR = 0.34


@pytest.fixture(scope="module")
def app(cluster: Cluster, redis_url: str) -> Iterator[FastAPI]:
    """Run an application that lets one try as often as one likes."""
    with running(cluster, redis_url, RATE_ACCOUNT="off") as made:
        yield made


def naive(stored: str | None, password: str) -> bool:
    """Compare as one would who thinks of nothing: nobody's password needs no comparing."""
    return stored is not None and passwords.HASHER.verify(stored, password)


def slower(app: FastAPI) -> float:
    """Answer how often a try at an account took more than one at nobody's, over all pairs of tries."""
    known = newcomer(app)
    times: dict[str, list[float]] = {known.email: [], "nobody@uni.example.edu": []}
    for _ in range(TRIES):
        # In turns, so that a machine that grows slower does so for both.
        for email, seconds in times.items():
            began = time.process_time()
            known.browser.post("/api/auth/sign-in", json={"email": email, "password": "a wrong password"})
            seconds.append(time.process_time() - began)
    first, second = times.values()
    return sum(a > b for a in first for b in second) / TRIES**2


def test_high_2_the_time_of_a_refusal_does_not_tell_whether_the_account_is_there(app: FastAPI) -> None:
    assert abs(slower(app) - 0.5) < FAR


def test_the_measurement_finds_a_version_that_compares_only_what_is_there(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "fits", naive)

    assert slower(app) - 0.5 > FAR


def test_nobodys_hash_costs_what_a_new_one_costs() -> None:
    ours = passwords.hashed("any password").rsplit("$", 2)[0]

    assert passwords.NOBODY.rsplit("$", 2)[0] == ours
    assert not passwords.fits(None, "")
