"""A small catalogue of our own, so that a scrape can be shown where no internet is.

Served by the api only where the setting FIXTURE_CATALOGUE is 1. Its units are put on the page by a script, as real
catalogues do: only a real browser sees them.
"""

import json

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

UNITS = [
    ("COMP1010", "Fundamentals of Programming", "Variables, loops, functions and the patience to debug them."),
    ("COMP2100", "Systems Programming", "Memory, processes, sockets: what happens below the framework."),
    ("COMP3300", "Data Networks", "From cables to congestion control, with a packet capture in every lab."),
    ("MATH1007", "Discrete Mathematics", "Logic, sets, graphs and counting for people who write software."),
    ("STAT1170", "Introductory Statistics", "What a sample says about a population, and what it does not."),
    ("PHYS1210", "Mechanics and Waves", "Motion, energy and oscillation with weekly experiments."),
]

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Catalogue</title></head>
<body><h1>Catalogue of units</h1><main></main><script src="/fixture/catalogue.js"></script></body></html>
"""

SCRIPT = """for (const [code, title, text] of %s) {
  const unit = document.createElement("article");
  unit.className = "unit"; unit.dataset.code = code;
  const name = document.createElement("h2"); name.textContent = title;
  const about = document.createElement("p"); about.textContent = text;
  unit.append(name, about); document.querySelector("main").append(unit);
}
"""

router = APIRouter(prefix="/fixture", include_in_schema=False)


@router.get("/catalogue")
def catalogue() -> HTMLResponse:
    """Answer the page, on which there is no unit yet."""
    return HTMLResponse(PAGE)


# A file of its own, since no page of the app may hold a script.
@router.get("/catalogue.js")
def script() -> Response:
    """Answer the script that draws the units."""
    return Response(SCRIPT % json.dumps(UNITS), media_type="text/javascript")
