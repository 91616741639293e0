"""Files that commands write where an operator wants them: a place that takes none is their words, not a bug."""

from __future__ import annotations

from pathlib import Path

import pytest

from ratemyunit_ops.cli.files import make_folder, write
from ratemyunit_ops.errors import Mistyped


@pytest.fixture
def below_a_file(tmp_path: Path) -> Path:
    """Name a folder that cannot be: its parent is a file."""
    (tmp_path / "taken").write_text("a file")
    return tmp_path / "taken" / "folder"


def test_a_folder_that_cannot_be_made_says_so_and_what_to_type(below_a_file: Path) -> None:
    with pytest.raises(Mistyped, match="folder cannot be written: Not a directory") as why:
        make_folder(below_a_file)

    assert why.value.next.startswith("--dir")


def test_a_folder_that_is_there_but_takes_no_files_is_said_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # whoever is root may write into every folder

    with pytest.raises(Mistyped, match="cannot be written"):
        make_folder(tmp_path)


def test_a_file_that_cannot_be_written_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(Mistyped, match=f"{tmp_path} cannot be written: Is a directory"):
        write(tmp_path, "text")


def test_text_is_written_as_utf_8(tmp_path: Path) -> None:
    write(tmp_path / "a.md", "…")

    assert (tmp_path / "a.md").read_bytes() == "…".encode()
