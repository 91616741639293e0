"""A hold of requests, and two slots that hold one release on two databases: what a restore asks of a host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rmu_host.boot import bring_up
from rmu_host.machine import Heard
from rmu_host.proxy import CONFIG, LUA
from rmu_host.state import HOLD, MAP, adopt

from tests.fakes.host_machine import DATABASE, App, FakeCloud, FakeMachine, ref, release
from tests.pure.test_host_program import READY, Caller

RESTORED = {**DATABASE, "identifier": "rmu-test-db-r7"}
OLD, NEW = ref("v1", "rmu-test-db-1"), ref("v1", "rmu-test-db-r7")
Answer = dict[str, Any]


@pytest.fixture
def m(tmp_path: Path) -> FakeMachine:
    machine = FakeMachine(tmp_path)
    machine.apps = {f"sha256:{v}": App(v) for v in ("v1", "v2")}
    return machine


@pytest.fixture
def ask(m: FakeMachine) -> Caller:
    caller = Caller(m, FakeCloud())
    caller.live("v1")
    return caller


def hold(ask: Caller, seconds: float = 20) -> Answer:
    return ask("hold", on=True, at_most_s=seconds)


def restored(ask: Caller) -> None:
    """Have what serves stand ready once more, on the restored database."""
    for answer in (
        ask("prepare", release=release("v1"), database=RESTORED),
        ask("start", release=NEW, ready=READY),
    ):
        assert answer["outcome"] == "changed", answer


def test_a_hold_is_on_until_it_is_let_go(ask: Caller, m: FakeMachine) -> None:
    held, seen = hold(ask), ask("survey")["holding"]
    gone = ask("hold", on=False)

    assert (held["outcome"], held["held"], seen) == ("changed", True, True)
    assert (gone["outcome"], gone["held"], ask("survey")["holding"]) == ("changed", False, False)
    assert ask("hold", on=False)["outcome"] == "already"


def test_a_hold_ends_by_itself_and_the_file_it_leaves_holds_nobody(ask: Caller, m: FakeMachine) -> None:
    hold(ask, 5)

    m.sleep(6)

    assert ask("survey")["holding"] is False
    m.load_map()
    assert m.hold != "0"
    assert ask("survey")["holding"] is False
    assert ask("hold", on=False)["outcome"] == "already"


def test_a_hold_never_grows_and_is_never_longer_than_half_a_minute(ask: Caller, m: FakeMachine) -> None:
    hold(ask, 600)
    deadline = m.hold
    m.sleep(10)

    again = hold(ask, 600)

    assert again["outcome"] == "already"
    assert (m.hold, m.read(HOLD)) == (deadline, f"until {deadline}\n")
    assert 15 < again["left_s"] <= 20


def test_a_hold_waits_for_what_was_on_its_way(ask: Caller, m: FakeMachine) -> None:
    m.scur["blue"] = [2, 1, 0, 0]

    assert hold(ask)["calm"] is True

    assert m.scur["blue"] == [0]


def test_a_hold_waits_as_long_as_a_statement_of_the_app_may_take(ask: Caller, m: FakeMachine) -> None:
    m.scur["blue"] = [*[1] * 30, 0]  # looked at five times a second

    assert hold(ask, 30)["calm"] is True


def test_a_request_that_never_ends_does_not_use_the_hold_up(ask: Caller, m: FakeMachine) -> None:
    m.scur["blue"] = [1]

    answer = hold(ask, 30)

    assert (answer["held"], answer["calm"]) == (True, False)
    assert answer["left_s"] > 20


def test_f08_a_proxy_that_took_no_notice_of_a_hold_is_found_out(ask: Caller, m: FakeMachine) -> None:
    restored(ask)
    m.proxy_deaf = True

    answer = hold(ask)

    assert (answer["outcome"], answer["why"]) == ("failed", "hold_unproven")
    assert "and says 0" in answer["detail"]


def test_a_proxy_without_a_hold_is_named_before_anything_is_held(ask: Caller, m: FakeMachine) -> None:
    m.hold = None

    answer = hold(ask)

    assert (answer["outcome"], answer["why"]) == ("refused", "no_hold")
    assert m.read(HOLD) == "until 0\n"


def test_a_damaged_deadline_holds_nobody(ask: Caller, m: FakeMachine) -> None:
    for damaged in ("soon", "99999999999", "-1", "0"):
        m.hold = damaged
        assert ask("survey")["holding"] is False


def test_a_reboot_in_the_middle_of_a_hold_lets_go(ask: Caller, m: FakeMachine) -> None:
    hold(ask)
    m.proxy = False

    bring_up(m, FakeCloud(), adopt(m), lambda **what: None)

    assert m.hold == "0"


def test_a_restore_of_what_serves_goes_beside_it_and_the_flip_is_told_apart(ask: Caller, m: FakeMachine) -> None:
    restored(ask)
    hold(ask)

    flipped = ask("serve", release=NEW, backup=None, probe=None, let_go=True)

    assert (flipped["outcome"], flipped["let_go"], m.map) == ("changed", "changed", "green")
    seen = ask("survey")
    told = {name: (slot["release"], slot["database"], slot["state"]) for name, slot in seen["slots"].items()}
    assert told == {"blue": ("v1", "rmu-test-db-1", "warm"), "green": ("v1", "rmu-test-db-r7", "serving")}
    assert seen["holding"] is False


@pytest.mark.parametrize("tells_database", [True, False])
def test_a_flip_between_two_slots_of_one_version_is_not_proven_by_the_version(
    ask: Caller, m: FakeMachine, tells_database: bool
) -> None:
    m.apps["sha256:v1"].tells_database = tells_database
    restored(ask)
    hold(ask)
    stuck = {"version": "v1", **({"database": "rmu-test-db-1"} if tells_database else {})}
    slot = "" if tells_database else "blue"
    m.hears = lambda port, path: Heard(200, str(stuck).replace("'", '"'), slot) if port == 8080 else None

    answer = ask("serve", release=NEW, backup=None, probe=None, let_go=True)

    assert (answer["outcome"], answer["why"], m.map) == ("failed", "flip_unproven", "blue")
    m.hears = lambda port, path: None
    assert ask("survey")["holding"] is True  # nobody is sent to what was not proven


def test_a_reference_with_a_database_never_means_the_other_slot(ask: Caller, m: FakeMachine) -> None:
    restored(ask)
    ask("serve", release=NEW, backup=None, probe=None)

    stopped = ask("stop", release=OLD)
    serving = ask("stop", release=NEW)
    nowhere = ask("serve", release=ref("v1", "rmu-test-db-9"), backup=None, probe=None)

    assert stopped["outcome"] == "changed"
    assert "rmu-blue" not in m.units
    assert serving["why"] == "serves_here"
    assert nowhere["why"] == "not_found"


def test_a_reference_without_a_database_means_what_serves(ask: Caller, m: FakeMachine) -> None:
    restored(ask)
    ask("serve", release=NEW, backup=None, probe=None)

    assert ask.serve("v1")["outcome"] == "already"
    assert ask("stop", release=ref("v1"))["why"] == "serves_here"
    assert m.map == "green"


def test_the_worker_moves_to_the_restored_database_and_stays_there_after_a_reboot(ask: Caller, m: FakeMachine) -> None:
    restored(ask)
    ask("serve", release=NEW, backup=None, probe=None)

    moved, again = ask("worker", release=NEW), ask("worker", release=NEW)
    m.units.clear()
    m.proxy = False
    bring_up(m, FakeCloud(), adopt(m), lambda **what: None)

    assert (moved["outcome"], again["outcome"]) == ("changed", "already")
    worker = m.read_json("/var/lib/rmu/slots/worker.json") or {}
    assert worker["database"]["identifier"] == "rmu-test-db-r7"
    assert "rmu-worker" in m.units


def test_a_release_prepared_again_on_the_restored_database_stays_in_its_slot(ask: Caller, m: FakeMachine) -> None:
    restored(ask)

    again = ask("prepare", release=release("v1"), database=RESTORED)

    assert (again["outcome"], again["slot"]) == ("already", "green")


def test_an_app_that_runs_on_another_database_than_its_slot_says_is_not_ready(ask: Caller, m: FakeMachine) -> None:
    restored(ask)
    m.units["rmu-green"].database = "rmu-test-db-1"

    answer = ask("ready", release=NEW, ready={**READY, "deadline_s": 2})

    assert answer["why"] == "not_ready"
    assert "/version says database rmu-test-db-1, expected rmu-test-db-r7" in answer["detail"]


def test_a_new_host_boots_the_pointers_database(m: FakeMachine) -> None:
    cloud = FakeCloud()
    cloud.items["release", "release#v1"] = release("v1")
    cloud.items["pointer", "pointer"] = {"release": "v1", "database": RESTORED}

    bring_up(m, cloud, adopt(m), lambda **what: None)

    seen = Caller(m, cloud)("survey")
    assert seen["slots"]["blue"]["database"] == "rmu-test-db-r7"
    assert seen["worker"]["state"] == "running"


class Older:
    """A host whose HAProxy was set up before it could hold."""

    def __init__(self, m: FakeMachine) -> None:
        config = m.read(CONFIG) or ""
        lines = [line for line in config.splitlines() if "hold" not in line and "held" not in line]
        self.text = "\n".join(lines).replace("x-forwarded-for,-1", "x-forwarded-for,-2") + "\n"
        m.write(CONFIG, self.text)
        m.remove(LUA)
        m.remove(HOLD)
        m.write(MAP, "live blue\n")
        m.load_map()
        assert m.hold is None


def test_an_older_hosts_proxy_is_brought_in_line_before_a_move_to_another_database(ask: Caller, m: FakeMachine) -> None:
    Older(m)

    restored(ask)

    assert m.hold == "0"
    assert "x-forwarded-for,-2" in (m.read(CONFIG) or "")
    assert ["systemctl", "reload", "haproxy.service"] in m.runs
    assert hold(ask)["outcome"] == "changed"


def test_a_deploy_leaves_an_older_hosts_proxy_alone(ask: Caller, m: FakeMachine) -> None:
    older = Older(m)

    ask.prepare("v2")

    assert m.read(CONFIG) == older.text
    assert ["systemctl", "reload", "haproxy.service"] not in m.runs


def test_a_reload_keeps_what_the_proxy_does_whatever_the_file_said(ask: Caller, m: FakeMachine) -> None:
    Older(m)
    ask.prepare("v2")
    ask.start("v2")
    m.map = "green"  # somebody flipped by hand; the file still says blue

    ask("prepare", release=release("v1"), database=RESTORED)

    assert m.map == "green"


def test_a_configuration_that_the_proxy_does_not_take_is_not_left_there(ask: Caller, m: FakeMachine) -> None:
    older = Older(m)
    m.broken.add("haproxy.cfg")

    answer = ask("prepare", release=release("v1"), database=RESTORED)

    assert (answer["outcome"], answer["why"]) == ("failed", "no_hold")
    assert m.read(CONFIG) == older.text
    assert m.map == "blue"


def test_a_configuration_that_rmu_did_not_write_is_not_written_over(ask: Caller, m: FakeMachine) -> None:
    m.write(CONFIG, "frontend by_hand\n")
    m.load_map()

    answer = ask("prepare", release=release("v1"), database=RESTORED)

    assert (answer["outcome"], answer["why"]) == ("refused", "no_hold")
    assert m.read(CONFIG) == "frontend by_hand\n"
