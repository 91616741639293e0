"""What `make test` says last: no green summary may stand at the end of a red run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import parts

GREEN = "=========== 80 passed, 2 skipped in 312.55s (0:05:12) ===========\n"
RED = "FAILED tests/twin/test_road.py::test_x\n== 1 failed, 9 passed, 1 warning, 2 errors in 9.05s ==\n"


def ended(folder: Path, capsys: pytest.CaptureFixture[str], **logs: tuple[int | None, str]) -> tuple[int, list[str]]:
    """Let parts have ended with these codes and logs; answer the exit code and what is printed."""
    for name, (code, log) in logs.items():
        (folder / f"{name}.log").write_text(log)
        if code is not None:
            (folder / f"{name}.code").write_text(f"{code}\n")
    return parts.tell(folder, list(logs), 400.0), capsys.readouterr().out.splitlines()


def test_a_green_run_ends_with_one_summary_over_all_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = ended(
        tmp_path, capsys, stack=(0, GREEN), machines=(0, "3 passed in 1.00s\n"), checks=(0, "formatted\n")
    )

    assert code == 0
    assert said[-4:] == [
        "stack: passed, 80 passed, 2 skipped",
        "machines: passed, 3 passed",
        "checks: passed",
        " 83 passed, 2 skipped in 400.00s ".center(80, "="),
    ]


def test_what_was_shown_as_it_ran_is_shown_again_only_where_it_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, green = ended(tmp_path, capsys, stack=(0, GREEN), machines=(0, "as machines\n"))
    _, red = ended(tmp_path, capsys, stack=(1, RED), machines=(0, "as machines\n"))

    assert GREEN.strip() not in green and "as machines" in green
    assert red.index("as machines") < red.index("FAILED tests/twin/test_road.py::test_x")


def test_a_part_that_failed_stands_last_and_in_the_last_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = ended(tmp_path, capsys, stack=(0, GREEN), machines=(1, RED), others=(0, "5 passed in 1.00s\n"))

    assert code == 1
    assert said.index("5 passed in 1.00s") < said.index("FAILED tests/twin/test_road.py::test_x")
    assert said[-4:] == [
        "stack: passed, 80 passed, 2 skipped",
        "machines: failed, 1 failed, 9 passed, 2 errors",
        "others: passed, 5 passed",
        " 1 failed, 94 passed, 2 skipped, 2 errors in 400.00s ".center(80, "="),
    ]


@pytest.mark.parametrize("code", [1, None])
def test_a_part_that_failed_without_a_test_is_an_error(
    code: int | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ruff found something, or the part was killed before it could say how it ended."""
    ends, said = ended(
        tmp_path, capsys, stack=(0, GREEN), checks=(code, "1 file would be reformatted\n5 passed in 1s\n")
    )

    assert ends == 1
    assert said[-2:] == ["checks: failed, 5 passed", " 85 passed, 2 skipped, 1 error in 400.00s ".center(80, "=")]
