"""`rmu status` for people."""

from __future__ import annotations

from rich.markup import escape

from ratemyunit_ops.reports.status import Status


def status_lines(s: Status) -> list[str]:
    """Write the status as lines that fit 80 columns."""
    worker = f"{s.worker['release']} {s.worker['state']}" if s.worker["release"] else s.worker["state"] or "unknown"
    previous = f"{s.previous['release']} ({s.previous['state']})" if s.previous["release"] else "none"
    lines = [
        f"[bold]{escape(s.release or 'nothing')}[/] serves {s.environment}   {escape(s.front_door)}",
        f"  digest     {escape((s.digest or '-')[:26])}",
        f"  schema     {escape(s.schema_head or '-')}",
        f"  database   {escape(s.database['identifier'] or '-')}",
        f"  worker     {escape(worker)}",
        f"  previous   {escape(previous)}",
    ]
    for host in s.hosts:
        slots = "  ".join(f"{n}: {v['release'] or '-'} {v['state']}" for n, v in sorted(host["slots"].items()))
        lines.append(f"  host       {host['id']} {host['address']}  {escape(slots)}")
    if s.lease:
        lines.append(f"  [yellow]run        {s.lease['run']} of {escape(s.lease['owner'])}: {escape(s.lease['step'])}[/]")
    lines += [f"  [yellow]unknown    {u['what']}: {escape(u['why'])}[/]" for u in s.unknown]
    return lines
