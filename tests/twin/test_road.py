"""The road on a real twin, by the command: deploy and rollback under a client that never retries, and its control."""

from __future__ import annotations

import pytest

from tests.twin.driver import Stack, done, started

pytestmark = pytest.mark.twin


def test_a_deploy_and_a_warm_rollback_drop_no_request(stack: Stack) -> None:
    old = stack.live()
    new = stack.push()

    with stack.no_drop():
        deployed = stack.rmu("deploy", new, "--yes", "--because", "the road")
        assert stack.who() == {**stack.who(), "version": new, "digest": stack.digests[new], "host": stack.host}
        seen = stack.status()
        back = stack.rmu("rollback", "--yes", "--because", "the road")

    assert (deployed["outcome"], deployed["release"]) == ("done", new)
    assert deployed["probe"]["failed"] == 0
    assert deployed["probe"]["verdict"] == "pass"
    assert 0 < deployed["ssm_commands"] <= 8
    assert seen["previous"] == {"release": old, "state": "warm"}
    assert seen["worker"] == {"release": new, "state": "running"}
    assert (back["outcome"], back["release"], back["ssm_commands"]) == ("done", old, 2)
    stack.serves_alone(old)


def test_the_same_client_counts_drops_when_what_serves_is_stopped_and_then_started(stack: Stack) -> None:
    unit = stack.unit(stack.live())

    with stack.client() as seen:
        stack.on_host(f"systemctl stop {unit}; sleep 1; systemctl start {unit}; sleep 3")

    assert seen.failed > 0


@pytest.mark.long
def test_f40_a_rollback_straight_after_a_rollback_is_refused_and_names_the_next_older(stack: Stack) -> None:
    live, new = stack.live(), stack.push()
    stack.deploy(new)
    stack.rmu("rollback", "--yes")

    again = stack.rmu("rollback", "--yes", expect=3)

    older = again["next"].removeprefix("rmu rollback ")
    assert older not in (live, new)
    assert again["what"] == f"the last run was a rollback already (to {live}); the next older good release is {older}"
    stack.serves_alone(live)


@pytest.mark.long
def test_a_rollback_to_a_release_that_no_slot_holds_pulls_it_first_and_drops_nothing(stack: Stack) -> None:
    first = stack.live()
    for _ in range(2):
        stack.deploy(stack.push())

    with stack.no_drop():
        answer = stack.rmu("rollback", first, "--yes")

    assert any("by a pull and a start" in str(event.get("note")) for event in answer.events)
    stack.serves_alone(first)


def test_deploying_what_serves_is_done_at_once_and_says_so(stack: Stack) -> None:
    live = stack.live()

    answer = stack.deploy(live)

    assert (answer["run"], answer["outcome"], answer["release"]) == (None, "done", live)


def test_a_dry_run_shows_every_step_and_does_none(stack: Stack) -> None:
    live, new = stack.live(), stack.push()

    answer = stack.deploy(new, "--dry-run")

    assert answer["outcome"] == "dry_run"
    assert f"serve {new} [undo: serve {live}]" in answer["steps"]
    assert all(run["run"] != answer["run"] for run in stack.rmu("history")["runs"])
    stack.serves_alone(live)


@pytest.mark.long
def test_a_rollback_in_the_bake_cancels_the_deploy_and_anybody_else_finds_it_busy(stack: Stack) -> None:
    live, new, other = stack.live(), stack.push(), stack.push()

    with stack.no_drop():
        deploy = stack.begin("deploy", new, "--yes", "--no-probe", "--bake", "2m")
        run = deploy.wait_for(started("bake"))["run"]
        busy = stack.deploy(other, expect=4)
        back = stack.rmu("rollback", "--yes")
        cancelled = deploy.end()

    assert run in busy["what"]
    assert (back["outcome"], back["release"]) == ("done", live)
    assert (cancelled.code, cancelled["outcome"]) == (5, "rolled_back")
    assert "cancelled this run" in cancelled["what"]
    stack.serves_alone(live)
    assert stack.status()["worker"] == {"release": live, "state": "running"}


@pytest.mark.long
def test_f40_two_people_who_roll_back_at_once_go_back_once(stack: Stack) -> None:
    old, new = stack.live(), stack.push()
    stack.deploy(new)

    with stack.no_drop():
        both = [stack.begin("rollback", "--yes") for _ in range(2)]
        ends = [one.end() for one in both]

    assert sorted(one.code for one in ends)[0] == 0
    assert all(one.code in (0, 3, 4) for one in ends), [one.says() for one in ends]
    stack.serves_alone(old)
    assert [run["verb"] for run in stack.rmu("history")["runs"] if run["outcome"] == "done"][:2] == [
        "rollback",
        "deploy",
    ]


def test_history_and_show_tell_who_did_what_and_why(stack: Stack) -> None:
    stack.live()
    run = next(r for r in stack.rmu("history")["runs"] if r["verb"] == "deploy" and r["outcome"] == "done")

    shown = stack.rmu("show", run["run"])

    assert "@" in run["who"]
    kinds = [event["kind"] for event in shown["events"]]
    assert (kinds[0], kinds[-1]) == ("planned", "closed")
    assert "twin" not in {event["facts"].get("secret_key") for event in shown["events"]}


def test_a_deploy_killed_as_it_moves_traffic_is_finished_by_resume_without_a_drop(stack: Stack) -> None:
    stack.live()
    new = stack.push()

    with stack.no_drop():
        stack.kill("deploy", new, "--yes", "--no-probe", at=started("serve"))
        assert stack.status()["lease"]["step"].startswith(f"serve {new}")
        resumed = stack.rmu("resume", "--yes")

    assert (resumed["outcome"], resumed["release"]) == ("done", new)
    stack.serves_alone(new)


@pytest.mark.long
def test_a_rollback_killed_after_its_flip_is_finished_by_typing_it_again(stack: Stack) -> None:
    old, new = stack.live(), stack.push()
    stack.deploy(new)

    with stack.no_drop():
        stack.kill("rollback", "--yes", at=done("serve"))
        again = stack.rmu("rollback", "--yes")

    assert (again["outcome"], again["release"]) == ("done", old)
    stack.serves_alone(old)
