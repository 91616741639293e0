"""Make docs/benchmarks.md of what the benches wrote.

    python tests/bench/report.py        takes over what lies in bench-out/, then writes the page

The JSON it is made of is kept in docs/bench/; a test holds the page to it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parents[2]
KEPT = HERE / "docs" / "bench"
PAGE = HERE / "docs" / "benchmarks.md"
OUT = Path("bench-out")

Figures = dict[str, Any]


class Row(NamedTuple):
    """One figure beside its control and its target; None where nothing was promised."""

    what: str
    figure: str
    control: str
    target: str
    met: bool | None = None


NOTES = {
    "fresh": "A Debian 12 of mmdebstrap with git, make, python3-venv, sudo and certificates, in namespaces of its own; "
    "Terraform and the sources of packages lie near at hand: elsewhere the network adds its part.",
    "fresh-ci": "A machine like that of the demo, newborn once more: nothing was made on it before.",
    "restore-size": "Not rmu's are the copy and the replay, with the copy's way to the disk (RDS hands a volume over "
    "that owes its first reader no writing), RDS's states, and the start of the release. On RDS blocks come from S3 "
    "when they are first read: warming takes longer there, and its time grows with the data.",
    "web": "A phone as Lighthouse means one: 150 ms and 1.6 Mbit/s of slow 4G (562 ms a request and 1,475 kbit/s as "
    "the browser applies them), a processor four times slower than this machine's, nothing cached. The middle load of "
    "several counts.",
    "scrape": "All ran with the lowest priority on two cores that had ten to thirty processes waiting: what is said of "
    "speed is a floor. With two browsers a page that grabs memory may take much before it is ended: less where "
    "the machine, or the container's own bound, leaves no room. The second browser starts only where 300 MiB are free.",
    "app": "Here the app runs beside its database and beside who asks it, on two cores that others use too. Half of "
    "what is asked are words, a fifth codes, one in twenty is misspelt; a page of thirty units is stored every other "
    "second and a rating given each second meanwhile, after which no cached answer is used any more.",
    "load": "Host, database, balancer and who asks share this machine's cores: on an account each has its own. An "
    "answer counts from the moment its search was due, not from when a connection was free for it.",
    "alarms": "An alarm's own time is its period, as often as it wants points; the target is two of them, and 15 s in "
    "which a number is measured (every 5 s), shipped, and judged on windows that move on every 10 s. Counted from "
    "before the command that breaks something, to the mail. The local AWS's periods are 10 s: on an account they are "
    "those of [alarms.md](alarms.md), and the 15 s are some more. Other tests ran "
    "beside these: time and load are those of the last of the two files.",
    "image": "Files are weighed as they are unpacked, MB of a million bytes. Playwright's own image is about 2 GB.",
    "slo": "Made-up traffic with nights, one request in 2,000 failing on a good day, and an incident every nine days. "
    "*Ideally* is exact counts, each minute, at once; *requests alone* is the same without probes and without a least "
    "number of bad events. A way in that is cut is seen late at much traffic, since a probe a minute is all that is "
    "missed then: alarm `probe-failing` is there for that, within three minutes.",
    "deploy": "The versions are one tree and so one image: the first deploy pulls it, the measured ones find it there. "
    "rmu's own share is all the rest: rmu starting, its calls, ledger and lease, learning by polls that a command has "
    "ended, the agent, shell and Python starting on the host, and what the host does around the flip. It is judged by "
    "its median, since others use the machine too.",
    "host": "The twin's machines hold the packages already and pull from this same machine: an account adds both, and "
    "the seconds EC2 takes to boot a kernel. With one host the balancer fails open, so its health checks cost little.",
}

HEAD = """# Benchmarks

Every figure stands beside a control from the same run: a ratio or a count can be compared on another machine, a
second alone cannot. Hosts are the twin's (real machines of 1 GiB, real HAProxy, podman and PostgreSQL), so what is
said of pulls and boots says little about an account. *Search in the app*, *Pages on a phone*, *Scraping, and pages that
mean harm* and *The image* have no host: they ran on the machine itself. *Load* is the machine's load average before and
after: benches share it with whatever else runs. This page is made by `python tests/bench/report.py` from
`docs/bench/*.json`.
"""


def page(kept: Path) -> str:
    """Write the page from the kept JSON."""
    parts = [HEAD]
    for name, (title, rows) in SECTIONS.items():
        file = kept / f"{name}.json"
        if file.exists():
            figures = json.loads(file.read_text())
            parts.append(section(title, figures, rows(figures)) + (f"\n{NOTES[name]}\n" if name in NOTES else ""))
    return "\n".join(parts)


def section(title: str, figures: Figures, rows: list[Row]) -> str:
    """Write one bench's table, and what made it."""
    made = figures["made"]
    machine = f"{made['cores']} cores, {made['memory_gib']} GiB, Python {made['python']}"
    lines = [f"## {title}", ""]
    of = f" of {made['commit']}" if "commit" in made else ""  # figures kept before 2026-11-27 do not name it
    lines += [f"`{made['command']}`{of} · {made['at']} · {machine} · load {made['load'][0]} → {made['load'][1]}", ""]
    lines += ["| what | figure | control | target | |", "|---|---|---|---|---|"]
    marks = {None: "", True: "met", False: "**missed**"}
    lines += [f"| {r.what} | {r.figure} | {r.control} | {r.target} | {marks[r.met]} |" for r in rows]
    return "\n".join(lines) + "\n"


def flip(f: Figures) -> list[Row]:
    """Show the flips on one host."""
    control = f["control"]
    times, reasons = f["flip_ms"], ", ".join(f"{n}x {why}" for why, n in control["reasons"].items())
    return [
        Row(
            f"requests lost over {f['flips']} flips, {f['connections']} kept connections",
            f"{f['failed']} of {f['sent']:,}",
            f"{control['failed']} of {control['sent']:,} ({reasons}): {control['what']}",
            "0",
            f["failed"] == 0 and control["failed"] > 0,
        ),
        Row(
            "one flip, p99 (file, HAProxy told and asked, proven by a request)",
            f"{times['p99']} ms (p50 {times['p50']} ms)",
            f"p99 of the client's answers meanwhile: {f['answer_p99_ms']} ms",
            f"≤ {f['target_p99_ms']} ms",
            times["p99"] <= f["target_p99_ms"],
        ),
    ]


def deploy(f: Figures) -> list[Row]:
    """Show deploys and warm rollbacks on a whole twin."""
    client, control, d, back, memory = f["client"], f["control"], f["deploy"], f["rollback"], f["memory"]
    outage = control["outage_s"]
    parts = "; ".join(f"{name} {part['median']} s" for name, part in d["parts_s"].items())
    idle = f"the machine, shared, was {d['machine_idle']['median']:.0%} idle"
    reasons = ", ".join(f"{n}x {why}" for why, n in control["reasons"].items())
    return [
        Row(
            f"requests lost over {d['wall_s']['n']} deploys and as many rollbacks, {client['connections']} kept "
            "connections idling 0-2, 4-7 and 50-57 s",
            f"{client['failed']} of {client['sent']:,}",
            f"{control['failed']} of {control['sent']:,} ({reasons}): {control['what']}, {control['times']}x",
            "0",
            client["failed"] == 0 and control["failed"] > 0,
        ),
        Row(
            "warm rollback, from the keyboard to traffic",
            f"{back['keyboard_to_traffic_s']['median']} s (worst {back['keyboard_to_traffic_s']['max']} s), "
            f"{back['ssm_commands']} SSM commands",
            f"{back['of_outage']}x the {outage['median']} s without an answer that stop-then-start costs",
            f"≤ {back['target_s']} s with {f['ssm_latency_s']['each_way']:g} s of SSM latency each way",
            back["keyboard_to_traffic_s"]["max"] <= back["target_s"],
        ),
        Row(
            "rmu's own share of a deploy",
            f"{d['own_s']['median']} s (worst {d['own_s']['max']} s)",
            f"of {d['wall_s']['median']} s in all; {parts}; {idle}",
            f"≤ {d['target_own_s']} s",
            d["own_s"]["median"] <= d["target_own_s"],
        ),
        Row(
            "SSM commands for each host and deploy",
            str(d["ssm_commands"]),
            "–",
            f"≤ {d['target_ssm_commands']}",
            d["ssm_commands"] <= d["target_ssm_commands"],
        ),
        Row(
            "what a flip adds to the p99 of the drop probe's answers",
            f"{f['added_p99_ms']['median']} ms (worst {f['added_p99_ms']['max']} ms)",
            "the probe's own baseline, two seconds before the flip",
            "–",
        ),
        Row(
            "memory a host cannot give back, at its peak",
            f"{memory['peak_mib']} MiB, {memory['oom_kills']} killed for want of it",
            f"{memory['control']['mib']} MiB: {memory['control']['what']}",
            f"< {memory['limit_mib']} MiB, none killed",
            memory["peak_mib"] < memory["limit_mib"] and memory["oom_kills"] == 0,
        ),
    ]


def cli(f: Figures) -> list[Row]:
    """Show what the command line costs before it does anything."""

    def row(control: str, ratio: str) -> Row:
        shown = f"{f[control]['median_s'] * 1000:.0f} ms: {f[control]['what']}"
        figure = f"{f[ratio]}x ({f['rmu']['median_s'] * 1000:.0f} ms, median of {f['rounds']})"
        return Row("`rmu --help`", figure, shown, f"≤ {f['target_ratio']}x", f[ratio] <= f["target_ratio"])

    return [row("control", "ratio"), row("strict_control", "ratio_strict")]


def host(f: Figures) -> list[Row]:
    """Show how long a lost host is gone."""
    control, total = f["control"], f["total_s"]
    rows = [
        Row(
            f"{f['what']}: until its successor serves, unattended",
            f"{total['median']} s (worst {total['max']} s, of {total['n']})",
            f"{f['of_control']}x {control['total_s']['median']} s: {control['what']}",
            "measured",
        )
    ]
    for part, seconds in f["parts_s"].items():
        share = f"{seconds['median'] / total['median']:.0%} of it"
        rows.append(Row(f"– {part}", f"{seconds['median']} s (worst {seconds['max']} s)", share, "–"))
    return rows


def salvage(f: Figures) -> list[Row]:
    """Show what restores leave behind, and what of it comes back."""
    control, mixed = f["control"], f["mixed"]
    return [
        Row(
            f"acknowledged rows neither restored, salvaged nor named, over {f['rounds']} cut-overs at random moments",
            f"{f['lost']} of {f['acknowledged']:,} ({f['put_back']:,} put back)",
            f"{control['lost']:,}, in {control['rounds_that_lost']} rounds: {control['what']}",
            "0",
            f["lost"] == 0 and control["lost"] > 0,
        ),
        Row(
            f"rows that both sides wrote, in {mixed['rounds']} rounds that provoke it: named as conflicts",
            f"{mixed['named']:,}, none decided silently",
            "none in the other rounds",
            "–",
        ),
        Row(
            "sessions opened before the fence that could write after it",
            f"{f['wrote_through_the_fence']} of {f['rounds']}",
            f"the fence takes {f['fence_s']['median']} s (worst {f['fence_s']['max']} s), at this load",
            "0",
            f["wrote_through_the_fence"] == 0,
        ),
        Row(
            "computing and applying a salvage, under writes",
            f"{f['salvage_s']['median']} s (worst {f['salvage_s']['max']} s)",
            f"warming takes {f['warm_s']['median']} s (worst {f['warm_s']['max']} s)",
            "–",
        ),
    ]


def restore(f: Figures) -> list[Row]:
    """Show restores with cut-over and salvage on a whole twin."""
    control, asked, held = f["control"], f["requests"], f["held_s"]
    return [
        Row(
            f"acknowledged rows that are not as acknowledged after {f['rounds']} restores and their salvages",
            f"{f['wrong']} of {f['acknowledged']:,} changes ({f['salvaged']:,} rows given back)",
            f"{control['wrong']:,}, in {control['rounds_that_lost']} of the restores: {control['what']}",
            "0",
            f["wrong"] == 0 and control["wrong"] > 0,
        ),
        Row(
            "writes after the fence, in sessions opened before it",
            f"{f['too_late']} of {f['rounds']}",
            "–",
            "0",
            f["too_late"] == 0,
        ),
        Row(
            "requests that failed while the database was exchanged beneath them",
            f"{asked['failed']} of {asked['sent']:,}",
            "–",
            "0",
            asked["failed"] == 0,
        ),
        Row(
            "requests are held for, p95",
            f"{held['p95']} s (median {held['median']} s, worst {held['max']} s)",
            "the steps from hold to flip, all of the first one counted",
            f"≤ {f['target_held_s']} s",
            held["p95"] <= f["target_held_s"],
        ),
    ]


def restore_size(f: Figures) -> list[Row]:
    """Show restores of much data."""
    return [
        Row(
            f"{size['gib']} GiB: rmu's own time in restore and cut-over",
            f"{size['own_s']} s of {size['seconds']:.0f} s in all, {size['phases']['warm_database']:.0f} s warming",
            f"{size['raw_s']} s: {f['control']['what']}; all in all {size['of_raw']}x that",
            f"≤ {f['target_own_s']} s",
            size["own_s"] <= f["target_own_s"],
        )
        for size in f["sizes"]
    ]


def drill(f: Figures) -> list[Row]:
    """Show a whole drill."""
    raw = f["control"]
    return [
        Row(
            f"a drill of {f['mib']} MiB, one command: restored, booted, smoke checks, every row compared, torn down",
            f"{f['seconds']} s, verified: {f['verified']}",
            f"{raw['seconds']} s: {raw['what']}",
            f"≤ {f['target_s']} s",
            f["verified"] == "yes" and f["seconds"] <= f["target_s"],
        ),
        Row(
            "RTO and RPO that it measured, from its journal",
            f"{f['rto_seconds']:.0f} s and {f['rpo_seconds']:.0f} s; it cost ${f['dollars']}",
            "–",
            "measured",
        ),
    ]


def hold(f: Figures) -> list[Row]:
    """Show requests that wait in a proxy while the database is exchanged beneath them."""
    control, late, many, one = f["control"], f["late_p99_ms"], f["many"], f["one"]
    return [
        Row(
            f"requests that failed in {f['rounds']} cut-overs, held {f['held_s']} s, {f['clients']} clients each",
            f"{f['failed']} of {f['rounds'] * f['clients']:,}",
            f"{control['failed']} of {control['sent']}: {control['what']}",
            "0",
            f["failed"] == 0 and control["failed"] > 0,
        ),
        Row(
            "answers after the hold's end, p99 of a cut-over",
            f"{late['median']} ms (worst {late['max']} ms)",
            f"{many['late_p99_ms']} ms with {many['clients']} waiting, {many['failed']} of them failed",
            f"≤ {f['target_late_p99_ms']} ms",
            late["median"] <= f["target_late_p99_ms"],
        ),
        Row(
            f"HAProxy while {many['clients']} requests wait",
            f"{many['cpu_percent']} % of a core, {many['memory_mib']} MiB",
            f"{one['cpu_percent']} % and {one['memory_mib']} MiB with one waiting",
            "–",
        ),
    ]


def quiet(f: Figures) -> list[Row]:
    """Show who was woken in an hour in which nobody should be."""
    fired, heard = sum(f["fired"].values()), f["control"]
    # An hour of before it said: nothing told of scrapes and ratings then.
    load = f.get("load", "10 searches a second; no rating and no scrape, so nothing was proven of the queue's alarms")
    answers = sum(f["requests"].values())
    return [
        Row(
            f"alarms in {f['minutes']:.0f} min of ordinary load ({load}) with {f['deploys']} deploys in them",
            f"{fired}; {f['requests'].get('200', 0):,} of {answers:,} requests answered 200",
            f"{sum(heard['fired'].values())} ({', '.join(heard['fired'])}): {heard['what']}",
            f"{f['target_fired']}",
            fired == f["target_fired"] and bool(heard["fired"]),
        ),
        _woken(f.get("woken")),
    ]


def _woken(told: dict[str, int] | None) -> Row:
    what = "– messages on `critical` meanwhile, good news too"
    if told is None:
        return Row(what, "not counted by this run", "–", "0")
    figure = f"{sum(told.values())}" + (f" ({', '.join(told)})" if told else "")
    return Row(what, figure, "–", "0", not told)


def slo(f: Figures) -> list[Row]:
    """Show how soon the alarms of an objective tell of incidents, and how often falsely."""
    rates = f["rates"]
    which, shown = ("ours", "ideal", "control"), " / ".join(rates)

    def false(who: str) -> list[int]:
        return [sum(rates[rate][who]["false_alarms"].values()) for rate in rates]

    rows = [
        Row(
            f"alarms about nothing in a year, at {shown} requests a minute",
            " / ".join(map(str, false("ours"))),
            f"{' / '.join(map(str, false('ideal')))} the workbook, ideally; {' / '.join(map(str, false('control')))} "
            "on requests alone",
            "none",
            not any(false("ours")) and any(false("control")),
        )
    ]
    for size in rates[next(iter(rates))]["ours"]["sizes"]:
        seen = {who: [rates[rate][who]["sizes"][size] for rate in rates] for who in which}
        extra = f["slow_extra_min"] if any("slow" in s["by"] for s in seen["ours"]) else f["extra_min"]
        rows.append(
            Row(
                f"{size}: until somebody is told",
                _told(seen["ours"]),
                f"{_told(seen['ideal'])} the workbook, ideally; {_told(seen['control'])} on requests alone",
                f"≤ {extra} min after the workbook",
                all(
                    o["told"] >= i["told"] and o["median_min"] <= i["median_min"] + extra
                    for o, i in zip(seen["ours"], seen["ideal"], strict=True)
                ),
            )
        )
    return rows


def load(f: Figures) -> list[Row]:
    """Show searches on a whole host, and how many of them it carries."""
    promised, control, memory, scrapes = f["promised"], f["control"], f["memory"], f["scrapes"]
    times, bare = promised["answer_ms"], control["answer_ms"]
    cached = f"{promised['failed']} failed, {f['from_cache']:.0%} from the cache"
    last = f["faster"]["steps"][-1]
    late = f"{last['rate']} a second: p95 {last['answer_ms']['p95']} ms, p99 {last['answer_ms']['p99']} ms"
    return [
        Row(
            f"searches over {f['units']:,} units on a host of {memory['limit_mib']:,} MiB whose worker scrapes, "
            f"{promised['rate']} a second for {f['seconds']} s through the front door: p95",
            f"{times['p95']} ms (p50 {times['p50']} ms), {cached}",
            f"p95 {bare['p95']} ms (p50 {bare['p50']} ms): {control['what']}",
            f"≤ {f['target_p95_ms']} ms",
            times["p95"] <= f["target_p95_ms"] and promised["failed"] == 0,
        ),
        Row(
            "– p99",
            f"{times['p99']} ms (worst {times['max']} ms)",
            f"p99 {bare['p99']} ms",
            f"≤ {f['target_p99_ms']} ms",
            times["p99"] <= f["target_p99_ms"],
        ),
        Row(
            "pages that the worker scraped meanwhile",
            f"{scrapes['a_minute']} a minute",
            "–",
            f"≥ {f['target_scrapes_a_minute']}",
            scrapes["a_minute"] >= f["target_scrapes_a_minute"],
        ),
        Row(
            f"what one host carries: searches a second within both for {f['faster']['seconds']} s",
            f"{f['carries']} a second: {f['carries'] * SEARCH_EVERY_S:,} people who search every {SEARCH_EVERY_S} s",
            late if not last["in_time"] else "it was never late",
            "–",
        ),
        Row(
            "memory it cannot give back, at its peak",
            f"{memory['peak_mib']} MiB, {memory['oom_kills']} killed for want of it",
            f"{memory['control']['mib']} MiB: {memory['control']['what']}",
            f"< {memory['limit_mib']} MiB, none killed",
            memory["oom_kills"] == 0,
        ),
        *(
            Row(f"– of it {name}", f"{f['memory_mib'][name]} MiB", "–", f"≤ {most} MiB", f["memory_mib"][name] <= most)
            for name, most in f["target_memory_mib"].items()
        ),
        Row(
            f"from the start of its container until /livez answers, median of {f['start_s']['n']}",
            f"{f['start_s']['median']} s (worst {f['start_s']['max']} s)",
            f"{f['start_control']['s']['median']} s: {f['start_control']['what']}",
            f"≤ {f['target_start_s']:g} s",
            f["start_s"]["median"] <= f["target_start_s"],
        ),
    ]


SEARCH_EVERY_S = 10


def app(f: Figures) -> list[Row]:
    """Show searches under load, and what the app adds to its SQL."""
    times, over, first = f["answer_ms"], f["overhead"], f["first_release"]
    sql = f["control"]["sql_ms"]
    return [
        Row(
            f"searches over {f['units']:,} units, {f['rate']} a second for {f['seconds']} s: p95",
            f"{times['p95']} ms (p50 {times['p50']} ms), {f['failed']} failed, {f['from_cache']:.0%} from the cache",
            f"p95 {first['sql_ms']['p95']} ms (p50 {first['sql_ms']['p50']} ms), one at a time: {first['what']}",
            f"≤ {f['target_p95_ms']} ms",
            times["p95"] <= f["target_p95_ms"] and f["failed"] == 0,
        ),
        Row(
            "– p99",
            f"{times['p99']} ms (worst {times['max']} ms)",
            f"p99 {first['sql_ms']['p99']} ms",
            f"≤ {f['target_p99_ms']} ms",
            times["p99"] <= f["target_p99_ms"],
        ),
        Row(
            f"a search beside its bare SQL, median of {sql['n']}, none from the cache",
            f"{over['ratio']}x ({over['api_ms']['p50']} ms); {f['cpu_ms']} ms of a core each, under load",
            f"{sql['p50']} ms (p95 {sql['p95']} ms): {f['control']['what']}",
            f"≤ {over['target_ratio']}x",
            over["ratio"] <= over["target_ratio"],
        ),
        Row(
            "– the same from the cache",
            f"{over['cached_ratio']}x ({over['cached_ms']['p50']} ms)",
            "the same",
            "–",
        ),
        Row(
            "memory of the api at its peak",
            f"{f['memory_mib']} MiB",
            "–",
            f"≤ {f['target_memory_mib']} MiB",
            f["memory_mib"] <= f["target_memory_mib"],
        ),
        Row(
            f"from its start until /livez answers, best of {f['start_s']['n']}",
            f"{f['start_s']['best']} s (worst {f['start_s']['max']} s)",
            "others use the machine too",
            f"≤ {f['target_start_s']} s",
            f["start_s"]["best"] <= f["target_start_s"],
        ),
    ]


def scrape(f: Figures) -> list[Row]:
    """Show how fast pages are scraped, and what hostile ones leave behind."""
    one, long, target = f["one_page"], f["soak"], f["target"]
    left, after = long["left"], long["stopped"]
    ordinary = long["jobs"] - long["hostile"]
    open_still = left["pages"] + left["contexts"] + left["stray_processes"]
    hurt = f"{long['browsers_hurt']['killed']} browsers killed and {long['browsers_hurt']['frozen']} frozen on the way"
    return [
        Row(
            f"{one['jobs']} ordinary pages, one browser",
            f"{one['jobs_a_minute']} a minute",
            "–",
            f"≥ {target['jobs_a_minute']} a minute",
            one["jobs_a_minute"] >= target["jobs_a_minute"],
        ),
        Row(
            "memory of the worker with one page, driver and browser with it, at its peak",
            f"{one['memory_mib']['max']} MiB (median {one['memory_mib']['median']} MiB)",
            "–",
            f"≤ {target['memory_mib']} MiB",
            one["memory_mib"]["max"] <= target["memory_mib"],
        ),
        Row(
            f"{long['jobs']:,} pages, {long['hostile']} of them hostile, {long['limit_s']} s each, two browsers",
            f"{long['jobs_a_minute']} a minute; {long['ordinary']['done']} of {ordinary} ordinary ones were read",
            hurt,
            f"≥ {target['jobs_a_minute']} a minute",
            long["jobs_a_minute"] >= target["jobs_a_minute"],
        ),
        Row(
            "– left open at the end: pages, contexts, stray processes",
            f"{left['pages']}, {left['contexts']}, {left['stray_processes']} ({left['browsers']} browser waits)",
            "counted by the browsers' debugging port and through /proc",
            "0",
            open_still == target["left"],
        ),
        Row(
            "– after SIGTERM: exit, processes, browsers' folders",
            f"{after['code']} in {after['seconds']} s, {after['processes']}, {after['profiles']}",
            "–",
            "0, 0, 0",
            (after["code"], after["processes"], after["profiles"]) == (0, 0, 0),
        ),
        Row(
            "– memory of the worker with two browsers",
            f"{long['memory_mib']['max']} MiB at its peak",
            f"{one['memory_mib']['max']} MiB: {f['control']['what']}",
            "–",
        ),
    ]


def _told(sizes: list[dict[str, Any]]) -> str:
    """Say medians beside each other, one per rate of traffic, and where not every incident was told of."""

    def one(s: dict[str, Any]) -> str:
        if not s["told"]:
            return "never"
        minutes = s["median_min"]
        shown = f"{minutes / 60:.1f} h" if minutes >= 120 else f"{minutes:g} min"
        return shown if s["told"] == s["of"] else f"{shown} ({s['told']} of {s['of']})"

    return " / ".join(map(one, sizes))


def alarms(f: Figures) -> list[Row]:
    """Show how long each alarm took from its fault to its page."""
    return [_page(name, one) for name, one in sorted(f["alarms"].items())]


def _page(name: str, one: Figures) -> Row:
    shows = f", and {one['shows_s']:g} s until the fault shows" if one["shows_s"] else ""
    return Row(
        f"`{name}`, from fault to page",
        f"{one['seconds']:g} s",
        f"{one['own_s']:g} s, its own time{shows}",
        f"≤ {one['limit_s']:g} s",
        one["seconds"] <= one["limit_s"],
    )


def web(f: Figures) -> list[Row]:
    """Show what each page costs a phone on slow 4G, beside the same HTML bare."""
    limits = f["limits"]

    def row(page: Figures, bare: Figures) -> Row:
        return Row(
            f"{page['page']}: weight, LCP, TTI",
            figures(page),
            f"{figures(bare)}: {f['control']['what']}",
            f"< {limits['bytes'] / 1000:g} kB, {limits['lcp_ms'] / 1000:g} s, {limits['tti_ms'] / 1000:g} s",
            not page["above"],
        )

    def figures(page: Figures) -> str:
        return f"{page['bytes'] / 1000:.1f} kB, {seconds(page['lcp_ms'])}, {seconds(page['tti_ms'])}"

    def seconds(ms: float | None) -> str:
        return "never" if ms is None else f"{ms / 1000:.2f} s"

    return [row(page, bare) for page, bare in zip(f["pages"], f["control"]["pages"], strict=True)]


IMAGE_PARTS = {
    "base": "Debian",
    "python": "Python",
    "browser": "Chromium and fonts",
    "packages": "Python packages",
    "driver": "Playwright's driver, in the packages' layer",
    "code": "our code, which is what a new release moves",
}


def image(f: Figures) -> list[Row]:
    """Show how big the image is, whole, by role and by part."""
    whole, base = f["whole"], f["control"]["unpacked_mb"]
    rows = [
        Row(
            "the one image, unpacked",
            f"{whole['unpacked_mb']} MB ({whole['moved_mb']} MB are moved)",
            f"{whole['unpacked_mb'] / base:.1f}x the {base} MB of {f['control']['what']}",
            f"≤ {f['target_mb']} MB",
            whole["unpacked_mb"] <= f["target_mb"],
        )
    ]
    rows += [
        Row(
            f"– of which for {one['role']}",
            f"{one['unpacked_mb']} MB",
            f"{one['unpacked_mb'] / base:.1f}x",
            "measured",
        )
        for one in f["roles"]
    ]
    rows += [
        Row(
            f"– {IMAGE_PARTS[one['part']]}",
            f"{one['unpacked_mb']} MB" + (f" ({one['moved_mb']} MB)" if one["moved_mb"] else ""),
            f"{one['unpacked_mb'] / base:.2f}x",
            "measured",
        )
        for one in f["parts"]
    ]
    return rows


FIRST_S = {"demo": 900, "test": 1500, "ci": 1500, "check": 60}
AGAIN_S = {**FIRST_S, "demo": 300}
ON_NOTHING = "with all that it has to install, make and build first"


def fresh(f: Figures) -> list[Row]:
    """Show how long a newborn machine takes, target by target in the order they were made in."""
    rows: list[Row] = []
    first: dict[str, int] = {}
    for target, seconds in ((one["target"], one["seconds"]) for one in f["targets"]):
        again = target in first
        bar = (AGAIN_S if again else FIRST_S).get(target)
        when = " once more" if again else " after it" if rows else f", {ON_NOTHING}"
        rows.append(
            Row(
                f"`{'.ci/run' if target == 'ci' else f'make {target}'}`{when}",
                f"{seconds} s, passed",
                f"{first[target]} s: the first one" if again else "–",
                f"≤ {bar} s" if bar else "–",
                seconds <= bar if bar else None,
            )
        )
        first.setdefault(target, seconds)
    return rows


SECTIONS: dict[str, tuple[str, Callable[[Figures], list[Row]]]] = {
    "fresh": ("On a newborn machine", fresh),
    "fresh-ci": ("CI on a newborn machine", fresh),
    "deploy": ("Deploys and warm rollbacks", deploy),
    "flip": ("The flip on the host", flip),
    "host": ("A host is lost", host),
    "cli": ("The command line", cli),
    "restore": ("Restores on a whole twin", restore),
    "restore-size": ("Restores of much data", restore_size),
    "drill": ("A drill from backups alone", drill),
    "hold": ("Requests that wait for a database", hold),
    "salvage": ("What a restore leaves behind", salvage),
    "quiet": ("An hour in which nobody is woken", quiet),
    "alarms": ("Alarms, each provoked", alarms),
    "slo": ("Alarms of the availability objective", slo),
    "app": ("Search in the app", app),
    "load": ("A host under students", load),
    "web": ("Pages on a phone", web),
    "scrape": ("Scraping, and pages that mean harm", scrape),
    "image": ("The image", image),
}


def main() -> None:
    """Take over new JSON and write the page."""
    KEPT.mkdir(parents=True, exist_ok=True)
    for name in SECTIONS:
        fresh = OUT / f"{name}.json"
        if fresh.exists():
            shutil.copy(fresh, KEPT / fresh.name)
    PAGE.write_text(page(KEPT))


if __name__ == "__main__":
    main()
