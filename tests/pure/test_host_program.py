"""The host program's verbs on a host that behaves: what serves is never stopped, and every no says why."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from rmu_host.machine import Heard
from rmu_host.request import Host
from rmu_host.roles import script, verifier
from rmu_host.state import MAP, STATE, UNITS, locked, record
from rmu_host.units import environment

from tests.fakes.host_machine import DATABASE, MIB, App, FakeCloud, FakeMachine, ref, release

READY = {"deadline_s": 20, "in_a_row": 3, "schema_head": "0002"}
Answer = dict[str, Any]


class Caller:
    """rmu, as a host meets it: numbered requests under one lease."""

    def __init__(self, m: FakeMachine, cloud: FakeCloud) -> None:
        self.m, self.cloud, self.generation, self.sequence = m, cloud, 1, 0

    def __call__(self, verb: str, **body: Any) -> Answer:
        self.sequence += 1
        request = {
            "verb": verb,
            "run": "r-1",
            "not_after": self.m.clock + 60,
            "fence": {"generation": self.generation, "sequence": self.sequence},
            **body,
        }
        return Host(self.m, lambda _: self.cloud).answer(json.loads(json.dumps(request)))

    def prepare(self, version: str) -> Answer:
        return self("prepare", release=release(version), database=DATABASE)

    def start(self, version: str, **body: Any) -> Answer:
        return self("start", release=ref(version), ready=READY, **body)

    def serve(self, version: str | None, backup: str | None = None, **body: Any) -> Answer:
        refs = {"release": version and ref(version), "backup": backup and ref(backup)}
        return self("serve", **{"probe": None, **refs, **body})

    def live(self, version: str) -> None:
        """Bring a release all the way to serving, with its worker."""
        for answer in (self.prepare(version), self.start(version), self.serve(version)):
            assert answer["outcome"] == "changed", answer
        assert self("worker", release=ref(version))["outcome"] == "changed"


@pytest.fixture
def m(tmp_path: Path) -> FakeMachine:
    machine = FakeMachine(tmp_path)
    machine.apps = {f"sha256:{v}": App(v) for v in ("v1", "v2", "v3")}
    return machine


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


@pytest.fixture
def ask(m: FakeMachine, cloud: FakeCloud) -> Caller:
    return Caller(m, cloud)


def served(m: FakeMachine) -> str | None:
    return m.get(8080, "/version").json().get("version")


def test_a_first_release_is_prepared_started_served_and_gets_its_worker(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")

    seen = ask("survey")
    assert served(m) == "v1"
    assert seen["live_slot"] == "blue"
    blue = seen["slots"]["blue"]
    assert (blue["release"], blue["digest"], blue["state"]) == ("v1", "sha256:v1", "serving")
    assert seen["slots"]["green"]["state"] == "empty"
    assert seen["worker"] == {"release": "v1", "state": "running"}


def test_a_second_release_goes_into_the_other_slot_and_the_first_stands_behind_it(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")

    prepared, started, flipped = ask.prepare("v2"), ask.start("v2"), ask.serve("v2", backup="v1")

    assert prepared["slot"] == "green"
    assert started["outcome"] == "changed"
    assert flipped["flip_ms"] > 0
    assert served(m) == "v2"
    seen = ask("survey")
    assert (seen["backup_on"], seen["slots"]["blue"]["state"]) == (True, "warm")
    m.units.pop("rmu-green")
    assert served(m) == "v1"


def test_start_parks_the_worker_and_a_stop_runs_it_again(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")
    ask.prepare("v2")
    ask.start("v2")
    assert ask("survey")["worker"]["state"] == "parked"

    answer = ask("stop", release=ref("v2"), resume_worker=ref("v1"))

    assert answer["outcome"] == "changed"
    seen = ask("survey")
    assert seen["slots"]["green"]["state"] == "stopped"
    assert seen["worker"] == {"release": "v1", "state": "running"}


@pytest.mark.parametrize(("verb", "floor"), [("stop", 0), ("retire", 10**12), ("retire", 0)])
def test_f22_what_serves_is_never_stopped(ask: Caller, m: FakeMachine, verb: str, floor: int) -> None:
    ask.live("v1")

    answer = ask(verb, release=ref("v1"), warm_floor=floor)

    assert (answer["outcome"], answer["why"]) == ("refused", "serves_here")
    assert served(m) == "v1"


def test_f22_what_stands_behind_is_neither_stopped_nor_overwritten(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")
    ask.prepare("v2")
    ask.start("v2")
    ask.serve("v2", backup="v1")

    stopped, overwritten = ask("stop", release=ref("v1")), ask.prepare("v3")

    assert (stopped["why"], overwritten["why"]) == ("serves_here", "serves_here")
    assert "rmu-blue" in m.units
    assert "sha256:v3" not in m.pulled


def test_f04_the_flip_starts_from_what_the_proxy_does_not_from_what_was_believed(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")
    ask.prepare("v2")
    ask.start("v2")
    m.map = "green"  # somebody flipped by hand; the file still says blue

    answer = ask.prepare("v3")

    assert answer["slot"] == "blue"
    assert served(m) == "v2"


def test_f01_a_flip_that_cannot_be_proven_is_put_back(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")
    ask.prepare("v2")
    ask.start("v2")
    m.hears = lambda port, path: Heard(200, '{"version": "v1"}') if port == 8080 else None

    answer = ask.serve("v2")

    assert (answer["outcome"], answer["why"]) == ("failed", "flip_unproven")
    assert m.map == "blue"
    assert m.read(MAP) == "live blue\n"


def test_f08_a_proxy_that_took_no_notice_is_found_out(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")
    ask.prepare("v2")
    ask.start("v2")
    m.proxy_deaf = True

    answer = ask.serve("v2")

    assert answer["why"] == "flip_unproven"
    assert "says blue" in answer["detail"]
    assert m.read(MAP) == "live blue\n"


def test_a_flip_waits_until_the_proxys_own_checks_see_the_new_release(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")
    ask.prepare("v2")
    ask.start("v2")
    m.seen_up_at["green"] = m.clock + 1.0
    flipped_at: list[float] = []
    m.on_flip = lambda: flipped_at.append(m.clock)

    assert ask.serve("v2")["outcome"] == "changed"

    assert flipped_at[0] >= m.seen_up_at["green"]


def test_f03_a_container_of_another_digest_is_not_ready(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")
    ask.prepare("v2")
    m.apps["sha256:old"] = App("v2")
    m.pulled.add("sha256:old")
    unit = m.path(f"{UNITS}/rmu-green.container")
    unit.write_text(unit.read_text().replace("sha256:v2", "sha256:old"))

    answer = ask.start("v2")

    assert (answer["outcome"], answer["why"]) == ("failed", "digest_mismatch")
    assert served(m) == "v1"


def test_f15_a_release_that_never_gets_ready_shows_every_probe_and_its_log(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")
    ask.prepare("v2")
    m.apps["sha256:v2"].checks = {"database": "no route", "redis": "ok", "schema": "ok"}

    answer = ask.start("v2")

    assert (answer["outcome"], answer["why"]) == ("failed", "not_ready")
    assert "database: no route" in answer["probes"][-1]["said"]
    assert sum(p["times"] for p in answer["probes"]) > 20
    assert answer["log"] == ["starting", "no database"]
    assert served(m) == "v1"


def test_a_schema_that_is_not_the_expected_one_is_not_ready(ask: Caller, m: FakeMachine) -> None:
    ask.prepare("v1")
    m.apps["sha256:v1"].schema_head = "0001"

    answer = ask.start("v1")

    assert "schema 0001, expected 0002" in answer["detail"]


def test_a_release_that_is_not_ready_is_not_served(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")
    ask.prepare("v2")
    ask.start("v2")
    m.apps["sha256:v2"].checks["redis"] = "down"

    answer = ask.serve("v2")

    assert (answer["outcome"], answer["why"]) == ("refused", "not_ready")
    assert served(m) == "v1"


def test_the_way_back_stays_open_while_the_database_is_down_for_both(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")
    ask.prepare("v2")
    ask.start("v2")
    ask.serve("v2", backup="v1")
    for version in ("v1", "v2"):
        m.apps[f"sha256:{version}"].checks = {"database": "down", "redis": "ok", "schema": "ok"}

    answer = ask.serve("v1")

    assert answer["outcome"] == "changed"
    assert served(m) == "v1"


def test_a_release_worse_than_what_serves_gets_no_traffic_in_an_outage(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")
    ask.prepare("v2")
    ask.start("v2")
    m.apps["sha256:v1"].checks = {"database": "down", "redis": "ok"}
    m.apps["sha256:v2"].checks = {"database": "down", "redis": "down"}

    assert ask.serve("v2")["why"] == "not_ready"


def test_serving_nothing_is_the_undo_of_a_first_deploy(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")

    answer = ask.serve(None)

    assert answer["outcome"] == "changed"
    assert m.get(8080, "/version").status == 503
    assert ask("stop", release=ref("v1"))["outcome"] == "changed"


def test_a_request_sent_twice_is_carried_out_once(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")
    ask.prepare("v2")
    ask.start("v2")
    first = ask.serve("v2")
    m.map = "blue"  # would be moved again by a second run
    ask.sequence -= 1

    again = ask.serve("v2")

    assert again["already"] is True
    assert again["flip_ms"] == first["flip_ms"]
    assert m.map == "blue"


def test_f37_an_owner_of_old_is_refused_after_a_take_over(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")
    old = ask.sequence
    ask.generation, ask.sequence = 2, 0
    ask.prepare("v2")
    ask.generation, ask.sequence = 1, old

    answer = ask("stop", release=ref("v1"))

    assert (answer["outcome"], answer["why"]) == ("refused", "stale_fence")


def test_f26_a_request_that_comes_too_late_does_nothing(ask: Caller, m: FakeMachine) -> None:
    answer = ask("prepare", release=release("v1"), database=DATABASE, not_after=m.clock - 1)

    assert (answer["outcome"], answer["why"]) == ("refused", "not_after")
    assert not m.pulled


def test_f26_a_request_dies_on_the_lock_rather_than_acting_late(ask: Caller, m: FakeMachine) -> None:
    with locked(m, m.clock + 1):
        answer = ask.prepare("v1")

    assert (answer["outcome"], answer["why"]) == ("refused", "not_after")


def test_a_look_never_waits_for_the_lock(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")
    with locked(m, m.clock + 1):
        assert ask("survey")["outcome"] == "ok"
        assert ask("ready", release=ref("v1"), ready=READY)["outcome"] == "ok"


def test_f19_images_of_no_slot_make_room_before_a_pull(ask: Caller, m: FakeMachine) -> None:
    for version in ("v1", "v2"):
        ask.live(version)

    ask.prepare("v3")

    assert m.pulled == {"sha256:v2", "sha256:v1", "sha256:v3"}  # v1's slot was given to v3 only after the pull
    ask.start("v3")
    ask.serve("v3")
    ask("worker", release=ref("v3"))
    m.apps["sha256:v4"] = App("v4")
    ask.prepare("v4")
    assert m.pulled == {"sha256:v2", "sha256:v3", "sha256:v4"}


def test_a_full_disk_is_refused_before_the_pull(ask: Caller, m: FakeMachine, cloud: FakeCloud) -> None:
    ask.live("v1")
    m.free, cloud.size = 600 * MIB, 300 * MIB

    answer = ask.prepare("v2")

    assert (answer["outcome"], answer["why"]) == ("refused", "disk_full")
    assert "sha256:v2" not in m.pulled
    assert served(m) == "v1"


def test_a_disk_that_fills_up_in_the_middle_of_the_pull_is_named_and_what_serves_goes_on(
    ask: Caller, m: FakeMachine
) -> None:
    ask.live("v1")
    m.fills_up = True

    answer = ask.prepare("v2")

    assert (answer["outcome"], answer["why"]) == ("failed", "disk_full")
    assert served(m) == "v1"
    assert record(m, "green") is None


def test_a_digest_the_registry_does_not_have_is_a_failed_pull(ask: Caller, m: FakeMachine) -> None:
    answer = ask("prepare", release=release("v9"), database=DATABASE)

    assert (answer["outcome"], answer["why"]) == ("failed", "pull_failed")
    assert "manifest unknown" in answer["detail"]


def test_preparing_what_is_prepared_changes_nothing(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")
    ask.prepare("v2")
    ask.start("v2")

    answer = ask.prepare("v2")

    assert (answer["outcome"], answer["slot"], answer["pulled"]) == ("already", "green", False)
    assert "rmu-green" in m.units


def test_preparing_what_serves_with_another_config_is_refused(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")

    answer = ask("prepare", release={**release("v1"), "config": {"LOG_LEVEL": "debug"}}, database=DATABASE)

    assert (answer["outcome"], answer["why"]) == ("refused", "serves_here")


@pytest.mark.parametrize("verb", ["start", "serve", "worker", "migrate", "ready"])
def test_a_release_that_is_not_here_is_refused(ask: Caller, verb: str) -> None:
    answer = ask(verb, release=ref("v7"), ready=READY, backup=None, probe=None)

    assert (answer["outcome"], answer["why"]) == ("refused", "not_found")


def test_a_retired_release_stays_warm_while_memory_allows(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")
    ask.prepare("v2")
    ask.start("v2")
    ask.serve("v2", backup="v1")

    warm = ask("retire", release=ref("v1"), warm_floor=100 * MIB)
    m.available = 50 * MIB
    retained = ask("retire", release=ref("v1"), warm_floor=100 * MIB)

    assert (warm["state"], m.map) == ("warm", "green")
    assert retained["state"] == "retained"
    assert "rmu-blue" not in m.units
    assert "sha256:v1" in m.pulled


def test_f10_a_slot_is_stopped_only_when_nobody_talks_to_it(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")
    ask.prepare("v2")
    ask.start("v2")
    ask.serve("v2")
    m.scur["blue"] = [2, 1, 0, 1, 0, 0]
    stopped_with: list[list[int]] = []
    m.before["systemctl stop"] = lambda: stopped_with.append(list(m.scur["blue"]))

    ask("stop", release=ref("v1"))

    assert stopped_with == [[0]]


def test_migrations_run_as_their_own_role_and_leave_no_credentials(ask: Caller, m: FakeMachine) -> None:
    ask.prepare("v1")
    seen: list[str] = []
    m.before["podman run"] = lambda: seen.extend(f.read_text() for f in m.path("/run/rmu").glob("rmu-migrate-*.env"))

    answer = ask("migrate", release=ref("v1"))

    assert (answer["outcome"], answer["head_before"], answer["head"]) == ("changed", "0001", "0002")
    assert "postgresql://rmu_migrate:migrate-pw@db.example:5432/ratemyunit?sslmode=verify-full" in seen[0]
    assert not list(m.path("/run/rmu").glob("*.env"))
    assert "migrate-pw" not in str(m.runs)


def test_looking_at_the_schema_needs_no_fence(ask: Caller, m: FakeMachine) -> None:
    ask.prepare("v1")

    answer = ask("migrate", release=ref("v1"), look=True, fence=None)

    assert (answer["outcome"], answer["head"]) == ("ok", "0001")


def test_failed_migrations_show_what_they_said(ask: Caller, m: FakeMachine) -> None:
    ask.prepare("v1")
    m.broken.add("sha256:v1")

    answer = ask("migrate", release=ref("v1"))

    assert (answer["outcome"], answer["why"]) == ("failed", "migrate_failed")
    assert answer["log"] == ["half a migration", "lock timeout"]


def test_f33_the_old_release_is_tried_on_the_new_schema_in_the_same_request(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")
    ask.prepare("v2")
    m.apps["sha256:v1"].works = {"ok": False, "reads": 1, "writes": 0, "failed": "units.store", "why": "no column"}
    seen: list[str] = []
    m.before["podman run"] = lambda: seen.extend(f.read_text() for f in m.path("/run/rmu").glob("rmu-check-*.env"))

    answer = ask("migrate", release=ref("v2"), old=ref("v1"))

    assert (answer["outcome"], answer["head"], answer["ran"]) == ("changed", "0002", ["0002"])
    assert answer["old_works"] == m.apps["sha256:v1"].works
    assert "postgresql://rmu_app:app%2Fpw@" in seen[0] and "RELEASE_VERSION=v1" in seen[0]
    assert not list(m.path("/run/rmu").glob("*.env"))


def test_an_old_image_without_the_role_check_proves_nothing(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")
    ask.prepare("v2")
    m.apps["sha256:v1"].works = None

    answer = ask("migrate", release=ref("v2"), old=ref("v1"))

    assert answer["old_works"] == {"ok": None, "why": "the image of v1 has no role check"}


def test_contract_revisions_run_only_when_the_request_says_so(ask: Caller, m: FakeMachine) -> None:
    ask.prepare("v1")

    ask("migrate", release=ref("v1"), phase="expand")
    ask("migrate", release=ref("v1"), phase="contract", sequence=3)

    assert [run[run.index("migrate") :] for run in m.runs if "migrate" in run] == [
        ["migrate"],
        ["migrate", "--contract"],
    ]


@pytest.mark.parametrize(
    ("error", "outcome"), [("lock_timeout", "failed"), ("too_slow", "failed"), ("contract_first", "refused")]
)
def test_what_stopped_a_migration_is_passed_on_with_who_is_in_the_way(
    ask: Caller, m: FakeMachine, error: str, outcome: str
) -> None:
    ask.prepare("v1")
    blocker = {"pid": 7, "state": "idle in transaction", "seconds": 83, "query": "update units set a = ?"}
    m.apps["sha256:v1"].migrates = {"error": error, "why": "it says why", "blockers": [blocker]}

    answer = ask("migrate", release=ref("v1"))

    assert (answer["outcome"], answer["why"]) == (outcome, error)
    assert answer["detail"] == "migrations of v1: it says why"
    assert answer["blockers"] == [blocker]


def test_what_is_pending_and_whether_a_release_works_are_looks(ask: Caller, m: FakeMachine) -> None:
    ask.prepare("v1")

    pending = ask("migrate", release=ref("v1"), look="pending", fence=None)
    checked = ask("migrate", release=ref("v1"), look="check", fence=None)

    assert (pending["outcome"], pending["current"], pending["pending"]) == ("ok", "0001", [])
    assert (checked["outcome"], checked["works"]["ok"]) == ("ok", True)


def test_a_guest_migrates_a_database_of_its_own_and_needs_no_slot(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")
    copy = {"identifier": "copy", "address": "copy.example", "port": 5432}
    seen: list[str] = []
    m.before["podman run"] = lambda: seen.extend(f.read_text() for f in m.path("/run/rmu").glob("*.env"))

    answer = ask("migrate", release=ref("v2"), guest=release("v2"), database=copy, old=ref("v1"))

    assert (answer["outcome"], answer["old_works"]["ok"], answer["new_works"]["ok"]) == ("changed", True, True)
    assert len(seen) == 3 and all("@copy.example:5432/" in env and "DATABASE_ID=copy" in env for env in seen)
    assert m.read_json(f"{STATE}/slots/green.json") is None


def test_a_slot_gets_todays_credentials_in_a_private_file(m: FakeMachine, cloud: FakeCloud, ask: Caller) -> None:
    ask.prepare("v1")
    held = m.read_json(f"{STATE}/slots/blue.json")
    assert held is not None

    text = environment("blue", held, {"env": "test"}, "i-1", cloud)

    lines = dict(line.split("=", 1) for line in text.splitlines())
    assert lines["DATABASE_URL"].startswith("postgresql://rmu_app:app%2Fpw@db.example:5432/ratemyunit?")
    assert lines["SECRET_KEY"] == "s3cret"
    assert lines["LOG_LEVEL"] == "info"
    assert (lines["RELEASE_VERSION"], lines["RELEASE_DIGEST"], lines["HOST_ID"]) == ("v1", "sha256:v1", "i-1")
    assert (lines["HTTP_HOST"], lines["HTTP_PORT"]) == ("127.0.0.1", "3001")


def test_no_secret_is_in_a_unit_a_record_or_a_log(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")

    texts = [f.read_text() for f in m.root.rglob("*") if f.is_file()]

    assert not [t for t in texts if "s3cret" in t or "app/pw" in t or "app%2Fpw" in t]


def test_f13_the_grace_of_a_stop_is_longer_than_the_apps_own(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")

    for name in ("blue", "worker"):
        unit = m.read(f"{UNITS}/rmu-{name}.container") or ""
        assert "StopTimeout=40" in unit
        assert "TimeoutStopSec=45" in unit


def test_a_unit_names_the_image_by_digest_and_never_pulls(ask: Caller, m: FakeMachine) -> None:
    ask.prepare("v1")

    unit = m.read(f"{UNITS}/rmu-blue.container") or ""

    assert "Image=registry.example/rmu-test/app@sha256:v1\n" in unit
    assert "Pull=never" in unit


def test_no_container_starts_without_the_guard_and_none_is_restarted_with_it(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")

    for name in ("blue", "worker"):
        unit = m.read(f"{UNITS}/rmu-{name}.container") or ""
        guard = "ExecStartPre=/bin/sh -c 'nft list chain inet rmu output > /dev/null'"
        assert guard in unit and unit.index(guard) < unit.index("environment")
        assert not [line for line in unit.splitlines() if line.startswith(("Requires=", "BindsTo="))]


def test_a_failed_slot_is_told_as_failed(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")
    ask.prepare("v2")
    m.broken.add("rmu-green")

    answer = ask.start("v2")

    assert (answer["outcome"], answer["why"]) == ("failed", "start_failed")
    assert ask("survey")["slots"]["green"]["state"] == "failed"


def test_a_bug_in_a_verb_is_an_answer_too(ask: Caller, m: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    def boom() -> int:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(m, "booted", boom)

    assert ask("survey")["detail"] == "RuntimeError: unforeseen"


def test_an_answer_that_ssm_would_cut_is_shortened_and_says_so(
    ask: Caller, m: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = {
        "files": ["ä" * 60] * 100,
        "conflicts_by": [{"table": "é" * 60, "why": "w", "rows": 1}] * 90,
        "tables": {"t": 1},
    }
    monkeypatch.setattr("rmu_host.survey.survey", lambda m: {"outcome": "ok", **long})

    said = ask("survey")

    assert len(json.dumps(said)) < 20_000
    assert said["shortened"] == ["conflicts_by", "files"]
    assert (said["files"][0], said["tables"], said["outcome"]) == ("ä" * 60, {"t": 1}, "ok")


def test_what_other_sessions_ask_of_the_database_is_not_logged(
    ask: Caller, m: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rmu_host.survey.survey", lambda m: {"outcome": "ok", "blockers": [{"query": "a query"}]})

    said = ask("survey")

    assert said["blockers"] == [{"query": "a query"}]
    assert "a query" not in m.read("/var/log/rmu/host.log")


def test_the_fell_back_flag_is_what_the_backup_answered(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")
    ask.prepare("v2")
    ask.start("v2")
    ask.serve("v2", backup="v1")
    before = ask("survey")["fell_back"]
    m.stot["green-backed", "blue"] = 3

    assert (before, ask("survey")["fell_back"]) == (False, True)


def test_an_earlier_bake_that_fell_back_is_not_held_against_the_next(ask: Caller, m: FakeMachine) -> None:
    ask.live("v1")
    ask.prepare("v2")
    ask.start("v2")
    ask.serve("v2", backup="v1")
    m.stot["green-backed", "blue"] = 3
    ask.serve("v1")
    ask.serve("v2", backup="v1")
    again = ask("survey")["fell_back"]
    m.stot["green-backed", "blue"] = 1  # a reload: HAProxy counts anew

    assert (again, ask("survey")["fell_back"]) == (False, True)


def test_the_database_is_told_a_verifier_and_never_a_password() -> None:
    passwords = {"ops": "ops-secret", "migrate": "migrate-secret", "app": "app-secret", "master": "master-secret"}

    sql = script(passwords)

    assert not [word for word in passwords.values() if word in sql]
    # The example of RFC 7677.
    assert verifier("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")) == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
        ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


@pytest.mark.parametrize("role", ["pg_signal_backend", "pg_monitor"])
def test_a_role_of_the_server_that_the_master_may_not_hand_on_stops_nothing_else(role: str) -> None:
    grant = next(line for line in script(dict.fromkeys(("ops", "migrate", "app"), "x")).splitlines() if role in line)

    assert grant.startswith("do $$ begin grant") and "exception when insufficient_privilege" in grant
