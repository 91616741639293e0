"""`rmu web`: the pages as a visitor's browser meets them."""

from __future__ import annotations

from typing import Annotated

import typer

from ratemyunit_ops.cli.options import AsJson

app = typer.Typer(
    help="The pages, as a visitor's browser meets them.\n\nExample: rmu web budget https://ratemyunit.example.edu",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Urls = Annotated[list[str], typer.Argument(metavar="URL...", help="Pages, with http:// or https://.")]
Weight = Annotated[int, typer.Option("--weight", min=1, help="Kilobytes (1,000 bytes) that a page stays below.")]
Lcp = Annotated[float, typer.Option("--lcp", min=0.001, help="Seconds until its largest part is painted.")]
Tti = Annotated[float, typer.Option("--tti", min=0.001, help="Seconds until it can be used.")]
Loads = Annotated[int, typer.Option("--loads", min=1, max=50, help="How often each page is loaded; the middle counts.")]
Latency = Annotated[int, typer.Option("--latency", min=0, help="Milliseconds that the network adds to each request.")]
Down = Annotated[int, typer.Option("--down", min=1, help="Kilobits a second towards the phone.")]
Up = Annotated[int, typer.Option("--up", min=1, help="Kilobits a second from the phone.")]
Slower = Annotated[float, typer.Option("--cpu", min=1, help="How many times slower the phone's processor is.")]
Program = Annotated[str, typer.Option("--chromium", help="The browser to use; else whichever Chromium PATH has.")]


@app.callback()
def web() -> None:
    """Show the pages as a visitor's browser meets them."""


@app.command(short_help="Hold pages to their weight and speed.")
def budget(
    urls: Urls,
    weight: Weight = 500,
    lcp: Lcp = 2.5,
    tti: Tti = 3.0,
    loads: Loads = 3,
    latency: Latency = 562,
    down: Down = 1475,
    up: Up = 675,
    cpu: Slower = 4.0,
    chromium: Program = "",
    as_json: AsJson = False,
) -> None:
    """Load pages in a real Chromium as a phone on slow 4G, and exit with 3 where one is above its budget.

    The network and the processor are those that Lighthouse means by a phone on slow 4G (150 ms, 1.6 Mbit/s).

    Example: rmu web budget https://ratemyunit.example.edu https://ratemyunit.example.edu/search
    """
    from datetime import timedelta

    from ratemyunit_ops.cli.weighing import Asked, weigh
    from ratemyunit_ops.ports import Phone
    from ratemyunit_ops.reports.page_load import Limits

    limits = Limits(bytes=weight * 1000, lcp_ms=lcp * 1000, tti_ms=tti * 1000)
    phone = Phone(latency=timedelta(milliseconds=latency), down_kbit=down, up_kbit=up, slower=cpu)
    raise typer.Exit(
        weigh(Asked(urls=urls, loads=loads, limits=limits, phone=phone, chromium=chromium), as_json=as_json)
    )
