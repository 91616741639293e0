"""One request: in time, under the lock, under its fence, once. What it does is the verbs' business."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from . import (
    data,
    data_fence,
    hold,
    oneoff,
    probe,
    proxy,
    queue,
    ready,
    releases,
    roles,
    serve,
    slots,
    survey,
)
from .answers import Answer, No, refused
from .cloud import Cloud
from .log import log
from .machine import Machine
from .state import STATE, adopt, fence, locked, settings

KEPT_MARKERS = 200
ROOM = 20_000
"""SSM cuts an answer at 24,000 characters; nobody could read the rest."""
LISTS = ("rows", "tables", "conflicts_by", "left_by", "notes", "files", "blockers", "moved", "missing", "in_circles")
UNLOGGED = ("rows", "log", "probes", "blockers")
Verb = Callable[[dict[str, Any]], Answer]


class Host:
    """This host, as one request meets it."""

    def __init__(self, m: Machine, cloud: Callable[[dict[str, Any]], Cloud] = Cloud) -> None:
        self.m = m
        self.settings = settings(m)
        self.cloud = cloud(self.settings)
        self.instance = ""

    def looking(self) -> dict[str, Verb]:
        """List the verbs that change nothing: they need no fence and never wait for the lock."""
        m = self.m
        return {
            "survey": lambda _: survey.survey(m),
            "ready": lambda r: ready.ready(m, r),
            "probe": lambda r: {**probe.result(m, r), "fell_back": serve.fell_back(m)},
            "stale": self.stale,
            "data_look": self.by_sql(data.look),
            "data_checksum": self.by_sql(data.checksum),
            "data_rows": self.statement,
        }

    def changing(self) -> dict[str, Verb]:
        """List the verbs that change this host."""
        m = self.m
        return {
            "prepare": self.prepare,
            "migrate": self.migrate,
            "roles": self.roles,
            "start": lambda r: releases.start(m, r),
            "serve": lambda r: serve.serve(m, r),
            "hold": lambda r: hold.hold(m, r),
            "worker": lambda r: releases.worker(m, r["release"]),
            "retire": lambda r: releases.retire(m, r),
            "stop": lambda r: releases.stop(m, r),
            "prune": self.prune,
            "queue": lambda r: queue.queue(m, r),
            "data_warm": self.by_sql(data.warm),
            "data_act": self.statement,
            "data_fence": self.by_sql(data_fence.fence),
            "data_sequences": self.by_sql(data.sequences),
            "data_salvage": self.salvage,
            "data_apply": self.salvage,
        }

    def by_sql(self, verb: Callable[[Machine, dict[str, Any], dict[str, Any], Cloud], Answer]) -> Verb:
        """Give a verb of databases what it reaches them by."""
        return lambda request: verb(self.m, request, self.settings, self.cloud)

    # The program of a salvage has no room for these modules, so they are imported where they are needed.
    def statement(self, request: dict[str, Any]) -> Answer:
        """Ask a database one statement of a runbook, or let it act."""
        from . import data_rows

        verb = {"data_rows": data_rows.rows, "data_act": data_rows.act}[request["verb"]]
        return verb(self.m, request, self.settings, self.cloud)

    def stale(self, _: dict[str, Any]) -> Answer:
        """Name the secrets that something was started with and that are no longer today's."""
        from . import stale

        return stale.stale(self.m, self.settings, self.cloud)

    def prune(self, request: dict[str, Any]) -> Answer:
        """Remove the images that nothing needs, or name them."""
        from . import tidy

        return tidy.prune(self.m, request)

    def salvage(self, request: dict[str, Any]) -> Answer:
        """Find what an old database has and the new one lacks, or give it back."""
        # These modules are a third of the program, and travel with their own two verbs alone.
        from . import salvage, salvage_apply

        verb = {"data_salvage": salvage.salvage, "data_apply": salvage_apply.apply}[request["verb"]]
        return verb(self.m, request, self.settings, self.cloud)

    def prepare(self, request: dict[str, Any]) -> Answer:
        """Fill a slot; before a move to another database, see that this host's HAProxy can hold requests."""
        if proxy.another_database(self.m, request["database"]):
            proxy.bring_in_line(self.m)
        return slots.prepare(self.m, request["release"], request["database"], self.cloud)

    def migrate(self, request: dict[str, Any]) -> Answer:
        """Run migrations, or look at the database's head."""
        return oneoff.migrate(self.m, request, self.settings, self.instance, self.cloud)

    def roles(self, request: dict[str, Any]) -> Answer:
        """Make the database's roles, or look at them."""
        return roles.roles(self.m, request, self.settings, self.cloud)

    def answer(self, request: dict[str, Any]) -> Answer:
        """Answer one request, and keep a line of it in the host's log."""
        began = self.m.now()
        try:
            self.in_time(request)
            self.instance = adopt(self.m)
            said = self.obey(request)
        except No as no:
            said = no.answer
        except Exception as why:  # noqa: BLE001  (a caller far away must learn what happened, whatever it was)
            said = {"outcome": "failed", "why": "broken", "detail": f"{type(why).__name__}: {why}"}
        said = {**said, "seconds": round(self.m.now() - began, 3), "instance": self.instance}
        said = fitting(said)
        log(self.m, request=shown(request), answer={k: v for k, v in said.items() if k not in UNLOGGED})
        return said

    def in_time(self, request: dict[str, Any]) -> None:
        """Refuse a request that was delivered too late to still be meant."""
        if self.m.now() > float(request["not_after"]):
            raise refused("not_after", "the request came later than its caller allowed; nothing was done")

    def obey(self, request: dict[str, Any]) -> Answer:
        """Carry out one request: a look at once, a change under the lock and its fence, once."""
        verb = request["verb"]
        if verb in self.looking():
            return self.looking()[verb](request)
        act = self.changing().get(verb)
        if act is None:
            raise refused("not_found", f"no verb {verb!r}")
        if request.get("look"):
            return act(request)
        with locked(self.m, float(request["not_after"])):
            return self.once(request, act)

    def once(self, request: dict[str, Any], act: Verb) -> Answer:
        """Act unless this very request was answered before; refuse one that an owner of old still sends."""
        wanted, seen = request["fence"], fence(self.m)
        mine = (int(wanted["generation"]), int(wanted["sequence"]))
        if seen and mine < (seen["generation"], seen["sequence"]):
            raise refused("stale_fence", f"run {seen['run']} has acted here since, with a newer lease")
        # By verb, too: one event may ask for several, as the fence of a database asks for a hold first.
        marker = f"{STATE}/done/{request['run']}-{mine[1]}-{request['verb']}.json"
        before = self.m.read_json(marker)
        if before and before["generation"] == mine[0]:
            answer: Answer = {**before["answer"], "already": True}
            return answer
        self.m.write_json(f"{STATE}/fence.json", {"generation": mine[0], "sequence": mine[1], "run": request["run"]})
        try:
            said = act(request)
        except No as no:
            said = no.answer
        self.m.write_json(marker, {"generation": mine[0], "answer": said})
        self.forget_old_markers()
        return said

    def forget_old_markers(self) -> None:
        """Keep the newest markers only."""
        markers = sorted(self.m.path(f"{STATE}/done").glob("*.json"), key=lambda f: f.stat().st_mtime)
        for old in markers[:-KEPT_MARKERS]:
            old.unlink(missing_ok=True)


def fitting(said: Answer) -> Answer:
    """Shorten the lists of an answer until there is room for it, and name those that were; what was seen stays true."""
    cut = set[str]()
    while len(json.dumps(said)) >= ROOM:
        lists = [k for k in LISTS if len(said.get(k) or ()) > 1]
        if not lists:
            break
        longest = max(lists, key=lambda k: len(json.dumps(said[k])))
        whole = said[longest]
        half = [*whole.items()][: len(whole) // 2] if isinstance(whole, dict) else whole[: len(whole) // 2]
        cut.add(longest)
        said = {**said, longest: dict(half) if isinstance(whole, dict) else half, "shortened": sorted(cut)}
    return said


def shown(request: dict[str, Any]) -> dict[str, Any]:
    """Return what the log keeps of a request: names and numbers, no config."""
    ref = request.get("release") or {}
    return {**{k: request.get(k) for k in ("verb", "run", "fence")}, "release": ref.get("version")}
