"""The pages that students and admins see: server-rendered HTML, one stylesheet, one script that may be missing."""

from typing import TYPE_CHECKING

# What publishes files, and tries that, needs no web framework.
if TYPE_CHECKING:
    from fastapi import FastAPI


def add(app: "FastAPI") -> None:
    """Add every page to the application."""
    from ratemyunit.web import door, own, pages, rating, staff

    for subject in (pages, rating, door, own, staff):
        app.include_router(subject.router)
