"""How a verb says no: an outcome, a code a program decides by, and a sentence for people."""

from __future__ import annotations

from typing import Any

Answer = dict[str, Any]


class No(Exception):
    """The request was answered, and the answer is no."""

    def __init__(self, outcome: str, why: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.answer: Answer = {"outcome": outcome, "why": why, "detail": detail, **more}


def refused(why: str, detail: str, **more: Any) -> No:
    """Say that nothing was changed."""
    return No("refused", why, detail, **more)


def failed(why: str, detail: str, **more: Any) -> No:
    """Say that it was tried and did not work."""
    return No("failed", why, detail, **more)
