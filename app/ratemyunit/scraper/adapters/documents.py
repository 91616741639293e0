"""JSON endpoints: the units of a search answer, wherever in the document they lie."""

import json
from collections.abc import Mapping
from typing import Any

from ratemyunit.scraper.adapters import Means
from ratemyunit.scraper.adapters.units import followed, reading
from ratemyunit.scraper.port import Job, Reading, Trouble


class Json:
    """An endpoint that answers units as JSON, and perhaps where its next page is."""

    async def read(self, job: Job, means: Means) -> Reading:
        """Read the units of the answer."""
        answer = await means.fetcher.page(job.url, means.admit)
        if not answer.body.strip():
            raise Trouble("the answer is empty")
        try:
            # Bytes: the decoder tells UTF-8, -16 and -32 apart, and takes no other charset.
            document = json.loads(answer.body)
        except (ValueError, RecursionError) as why:
            raise Trouble("the answer is no JSON, or not all of it") from why
        return read(job, document, answer.url)


def read(job: Job, document: Any, base: str) -> Reading:
    """Read units out of a document.

    Raises:
        Trouble: they are not where the rules say.
    """
    rules = job.rules
    items = at(document, rules.units or "units")
    if isinstance(items, Mapping):
        items = list(items.values())
    if not isinstance(items, list):
        raise Trouble("the answer has no list of units where the rules say")
    code, title, about = rules.code or "code", rules.title or "title", rules.description or "description"
    rows = [{"code": text(i, code), "title": text(i, title), "description": text(i, about)} for i in items]
    following = text(document, rules.next or "next")
    return reading(job, rows, followed(job, base, [following] if following else [], job.kind))


def at(document: Any, path: str) -> Any:
    """Walk down a document by names joined with dots, numbers in lists; None where it ends too early."""
    for name in path.split("."):
        if isinstance(document, Mapping):
            document = document.get(name)
        elif isinstance(document, list) and name.isdecimal() and len(name) < 6 and int(name) < len(document):
            document = document[int(name)]
        else:
            return None
    return document


def text(document: Any, path: str) -> str:
    """Read a text or a number; whatever else is there is none."""
    found = at(document, path)
    return str(found) if isinstance(found, str | int | float) and not isinstance(found, bool) else ""
