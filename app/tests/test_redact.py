"""What no log line may hold stays out wherever a text is cut, and no text takes long to clean."""

import time

import pytest

from ratemyunit import redact

SECRETS = {
    "a value that has no end": " password=" + "S" * 5_000,
    "a quoted value": ' "password": "' + "S S " * 1_500 + '"',
    "a quoted value without an end": ' "password": "' + "S S " * 1_500,
    "a header": "\ncookie: session=" + "S; " * 2_000,
    "a URL": "x" * 40 + "postgresql://rmu_app:" + "S" * 5_000 + "@db/x",
    "a signed token": " eyJhbGciOiJI." + "S" * 5_000 + "." + "S" * 100,
    "a detail": "\nDETAIL:  Failing row contains (" + "S S\n" * 1_500 + ").",
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("before", [0, 500, 990, 2_000, 40_000, 63_000])
def test_what_is_left_of_a_secret_that_a_cut_goes_through_is_not_logged(secret: str, before: int) -> None:
    text = "Traceback\n" + "y" * before + secret + "\nHINT: none\n" + "z" * 2_000

    said = redact.clean(text)

    assert "S" not in said
    assert len(said) < redact.LONGEST + 100


@pytest.mark.parametrize("before", [0, 20_000, 60_000, 90_000])
def test_nor_is_it_of_one_that_a_text_too_long_to_read_is_cut_through(before: int) -> None:
    for secret in (" password=", "\npostgresql://u:", ' {"token": "'):
        for ends in ("", "\nthe end"):
            said = redact.clean("y" * before + secret + "S" * 200_000 + ends)

            assert "S" not in said
            assert said.endswith(ends)


def test_a_text_that_is_cut_keeps_its_ends() -> None:
    said = redact.clean("Traceback\n" + "line\n" * 100_000 + "ValueError: no")

    assert said.startswith("Traceback\nline\n")
    assert said.endswith("line\nValueError: no")
    assert "left out" in said


# Each made a pattern of ours begin anew at every place and look as far as the end.
SLOW = {
    "names": "a-",
    "schemes": "a.",
    "URLs": "a://a:",
    "dots": "a.b",
    "locals": "a",
    "hosts": "a@a",
    "tokens": "eyJ-",
    "lines": "\n",
    "details": "DETAIL:\n",
    "details of nothing": "DETAIL: \n \n",
    "secrets": "password ",
    "quotes": 'password="',
    "bearers": "bearer ",
}


@pytest.mark.parametrize("piece", SLOW.values(), ids=SLOW)
def test_no_text_takes_long_to_clean(piece: str) -> None:
    text = piece * (redact.MOST // len(piece))

    began = time.process_time()
    redact.clean(text)

    assert time.process_time() - began < 0.5
