"""Reports that people read and send on, written as HTML and as Markdown from one set of values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ratemyunit_ops.cli.files import make_folder, write
from ratemyunit_ops.render import page
from ratemyunit_ops.reports.drawing import bars_of, clock
from ratemyunit_ops.show.screen import in_words

LONGEST_BAR = 24


def write_pages(kind: str, name: str, folder: Path, values: Mapping[str, Any]) -> tuple[Path, Path]:
    """Write `report/KIND.html` and `report/KIND.md` as NAME into a folder; answers both paths. Raises Mistyped."""
    make_folder(folder)
    html, markdown = (folder / f"{name}.{ending}" for ending in ("html", "md"))
    for path in (html, markdown):
        write(path, page(f"report/{kind}{path.suffix}", {**WORDS, **values}))
    return html, markdown


def short(text: str, most: int) -> str:
    """Cut a text to a width."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def size(number: int) -> str:
    """Say bytes as people do."""
    mib = number / 2**20
    return f"{mib / 1024:.1f} GiB" if mib >= 1024 else f"{mib:.0f} MiB"


def line(text: str) -> str:
    """Put what people or machines wrote into one line of Markdown that it cannot leave."""
    plain = " ".join(text.split())
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", plain)


WORDS: dict[str, Any] = {
    "words": in_words,
    "clock": clock,
    "short": short,
    "size": size,
    "number": lambda n: f"{int(n):,}",
    "bars": lambda spans: bars_of(spans, LONGEST_BAR),
    "line": line,
}
"""What the templates call to say things."""
