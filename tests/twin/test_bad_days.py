"""Bad input and bad days on a real twin: each ends in a three-part error and its exit code, and nothing has moved.

`Stack.rmu` holds every failure to its three parts.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.twin.driver import CHECKOUT, KILLED, Stack, done, started, wait_until

pytestmark = pytest.mark.twin

NOWHERE = "http://127.0.0.1:9"
SSO_CONFIG = """\
[profile twin-sso]
sso_session = company
sso_account_id = 123456789012
sso_role_name = operator
[sso-session company]
sso_start_url = https://example.awsapps.com/start
sso_region = us-east-1
sso_registration_scopes = sso:account:access
"""
SSO_TOKEN = {
    "startUrl": "https://example.awsapps.com/start",
    "region": "us-east-1",
    "accessToken": "of yesterday",
    "expiresAt": "2020-01-01T00:00:00Z",
}


def test_a_version_that_was_never_pushed_is_refused(stack: Stack) -> None:
    live = stack.live()

    answer = stack.deploy("v9999", expect=3)

    assert answer["what"] == "the registry has no image v9999"
    assert answer["next"] == "rmu image push v9999"
    stack.serves_alone(live)


def test_a_rollback_to_a_release_that_never_was_is_refused(stack: Stack) -> None:
    live = stack.live()

    answer = stack.rmu("rollback", "v9999", "--yes", expect=3)

    assert "v9999" in answer["what"]
    stack.serves_alone(live)


@pytest.mark.long
def test_a_digest_that_left_the_registry_after_the_plan_is_refused(stack: Stack) -> None:
    live, new = stack.live(), stack.push()
    ecr = stack.aws("ecr")
    stack.kill("deploy", new, "--yes", "--no-probe", at=started("check digest"))
    ecr.batch_delete_image(repositoryName="rmu-twin/app", imageIds=[{"imageTag": new}])

    answer = stack.rmu("resume", "--yes", expect=3)

    assert f"no image {new}" in answer["what"]
    stack.serves_alone(live)


def test_critical_findings_refuse_a_deploy_until_they_are_waived_by_name(stack: Stack) -> None:
    live, new = stack.live(), stack.push()

    with stack.fault("plant-findings", stack.digests[new]):
        answer = stack.deploy(new, expect=3)
        waived = stack.settings("waived.toml", allow_critical_findings=[new])
        dry = stack.deploy(new, "--dry-run", config=waived)

    assert answer["what"] == f"the scan of {new} found 1 CRITICAL findings"
    assert dry["outcome"] == "dry_run"
    stack.serves_alone(live)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('bakee = "PT1S"', "[env.twin] bakee: extra inputs are not permitted"),
        ('ready_deadline = "soon"', "[env.twin] ready_deadline: "),
        ("smoke = ", "not valid TOML"),
    ],
)
def test_settings_that_are_wrong_name_line_and_key(stack: Stack, line: str, says: str) -> None:
    config = stack.settings("broken.toml", smoke=None, ready_deadline=None)
    text = config.read_text().replace("[env.twin]\n", f"[env.twin]\n{line}\n")
    config.write_text(text)

    answer = stack.rmu("status", config=config, expect=2)

    assert says in answer["what"]
    assert "line 3" in answer["what"]
    assert answer["next"] == f"edit {config}"


def test_without_credentials_or_with_an_expired_sso_the_command_that_gets_some_is_named(stack: Stack) -> None:
    bare = stack.settings("bare.toml", credentials=None)
    named = stack.settings("named.toml", credentials=None, profile="twin-sso")
    aws = stack.where / "home" / ".aws"
    aws.mkdir(parents=True, exist_ok=True)
    (aws / "config").write_text(SSO_CONFIG)
    token = aws / "sso" / "cache" / f"{hashlib.sha1(b'company').hexdigest()}.json"
    token.parent.mkdir(parents=True, exist_ok=True)
    token.write_text(json.dumps(SSO_TOKEN))
    environ = {**stack.environ(), "HOME": str(aws.parent), "AWS_EC2_METADATA_DISABLED": "true"}

    without = stack.rmu("status", environ={**environ, "RMU_CONFIG": str(bare)}, expect=2)
    expired = stack.rmu("status", environ={**environ, "RMU_CONFIG": str(named)}, expect=2)

    assert "no valid credentials" in without["what"]
    assert without["next"].startswith("aws configure")
    assert "expired" in expired["what"]
    assert expired["next"] == "aws sso login --profile twin-sso"


def test_credentials_of_another_account_are_refused(stack: Stack) -> None:
    live, new = stack.live(), stack.push()
    other = stack.settings("other.toml", account="210987654321")

    answer = stack.deploy(new, config=other, expect=3)

    assert f"reach account {stack.site.account}, but twin is account 210987654321" in answer["what"]
    stack.serves_alone(live)


def test_a_twin_that_does_not_run_is_named_with_the_command_that_starts_it(stack: Stack) -> None:
    nowhere = stack.settings("nowhere.toml", endpoint=NOWHERE, front_door=NOWHERE)

    answer = stack.rmu("deploy", "v1", "--yes", config=nowhere, expect=3)

    assert "no environment was named, and the default (twin) does not answer" in answer["what"]
    assert answer["next"] == "rmu twin up   (or did you mean --env production?)"


def test_f15_a_release_that_never_gets_ready_is_unwound_with_its_probes_and_its_log(stack: Stack) -> None:
    live, new = stack.live(), stack.push()
    never = stack.settings("never.toml", ready_deadline="PT5S", app={"NEVER_READY": "1"})

    with stack.no_drop():
        answer = stack.deploy(new, config=never, expect=5)

    assert answer["outcome"] == "rolled_back"
    assert "probe" in answer["what"]
    assert '"event": "started"' in answer["what"]
    assert f"{live} still serves twin" in answer["state"]
    stack.serves_alone(live)
    assert stack.status()["worker"] == {"release": live, "state": "running"}


@pytest.mark.long
def test_f03_a_release_that_runs_another_digest_never_gets_traffic(stack: Stack) -> None:
    live, new, wrong = stack.live(), stack.push(), stack.push()
    stack.kill("deploy", new, "--yes", "--no-probe", at=done("note restore point"))
    image = f"{stack.site.registry_host}/rmu-twin/app"
    swap = (
        f"podman pull -q --authfile /etc/rmu/auth.json {image}@{stack.digests[wrong]} && "
        f"sed -i 's/{stack.digests[new]}/{stack.digests[wrong]}/' /etc/containers/systemd/{stack.unit(new)}.container"
        " && systemctl daemon-reload && echo swapped"
    )
    assert stack.on_host(swap).strip().endswith("swapped")

    with stack.no_drop():
        answer = stack.rmu("resume", "--yes", expect=5)

    assert f"the container runs {stack.digests[wrong]}, expected {stack.digests[new]}" in answer["what"]
    stack.serves_alone(live)


def test_a_disk_without_room_for_the_image_stops_the_deploy_before_anything_moves(stack: Stack) -> None:
    live, new = stack.live(), stack.push()

    with stack.no_drop(), stack.fault("disk-full"):
        answer = stack.deploy(new, expect=5)

    assert "MiB are free" in answer["what"]
    stack.serves_alone(live)


@pytest.mark.long
def test_f27_a_dead_agent_is_named_and_the_deploy_goes_once_it_lives(stack: Stack) -> None:
    live, new = stack.live(), stack.push()
    host = stack.host

    with stack.no_drop(), stack.fault("agent-kill", host):
        answer = stack.deploy(new, expect=3)

    assert f"the SSM agent of {host} does not answer" in answer["what"]
    stack.serves_alone(live)
    assert stack.deploy(new)["outcome"] == "done"


@pytest.mark.long
def test_f18_a_release_that_dies_in_the_bake_gives_way_at_once_and_is_unwound(stack: Stack) -> None:
    live, new = stack.live(), stack.push()
    dying = stack.settings("dying.toml", app={"EXIT_AFTER": "12"})

    with stack.client() as seen:
        answer = stack.deploy(new, "--bake", "2m", config=dying, expect=5)

    assert answer["outcome"] == "rolled_back"
    assert answer.seconds < 60
    assert seen.failed < seen.sent / 10, seen.told  # what was in flight at its death is lost, and no more
    stack.serves_alone(live)


@pytest.mark.long
def test_out_of_memory_kills_the_newcomer_and_not_what_serves(stack: Stack) -> None:
    live, new = stack.live(), stack.push()
    hungry = stack.settings("hungry.toml", ready_deadline="PT20S", app={"NEVER_READY": "1", "EAT_MIB": "1200"})
    serving = stack.unit(live)
    restarts = f"systemctl show -p NRestarts --value {serving}"
    before = stack.on_host(restarts)

    with stack.client() as seen:
        answer = stack.deploy(new, config=hungry, expect=5)

    assert answer["outcome"] == "rolled_back"
    # Where the kernel has no cgroup v2, the slot's own limit does not hold and the whole machine stalls for seconds.
    assert seen.failed < seen.sent / 20, seen.told
    newcomer = stack.unit(new)
    assert newcomer != serving
    assert "restart counter is at" in stack.on_host(f"journalctl -u {newcomer} -o cat -n 60 --no-pager")
    assert stack.on_host(restarts) == before
    stack.serves_alone(live)


@pytest.mark.long
def test_f36_a_killed_terraform_is_finished_by_the_same_command_and_its_lock_is_released(stack: Stack) -> None:
    live = stack.live()
    values = stack.where / "changed.tfvars"
    text = (CHECKOUT / "terraform" / "env" / "twin.tfvars").read_text()
    values.write_text(text.replace("oncall@example.org", f"oncall-{time.time_ns()}@example.org"))
    changed = stack.settings("changed.toml", tfvars=str(values))

    apply = stack.begin("infra", "apply", "--yes", config=changed)
    apply.wait_for(started("terraform apply"), 240)
    wait_until(lambda: below(stack, "terraform apply") and locked(stack), 120, "Terraform to apply", every=0.05)
    for pid in (apply.process.pid, *below(stack, "terraform")):
        os.kill(pid, signal.SIGKILL)
    assert apply.end().code == KILLED
    assert locked(stack)
    again = stack.rmu("infra", "apply", "--yes", config=changed)

    assert again["outcome"] == "done"
    assert stack.rmu("infra", "drift", config=changed, expect=None)["change"] == []
    assert not locked(stack)
    stack.serves_alone(live)


def locked(stack: Stack) -> bool:
    """Ask the bucket whether Terraform's state is locked."""
    listed = stack.aws("s3").list_objects_v2(
        Bucket=f"rmu-twin-state-{stack.site.account}", Prefix="stack.tfstate.tflock"
    )
    return bool(listed["KeyCount"])


def below(stack: Stack, words: str) -> list[int]:
    """Find the processes of this stack's Terraform whose command line begins so, the providers included."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            program, *rest = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            mine = (process / "cwd").resolve().is_relative_to(stack.where)
            if mine and " ".join([Path(program).name, *rest]).startswith(words):
                found.append(int(process.name))
    return found


@pytest.mark.long
def test_a_host_that_dies_in_a_deploy_is_replaced_by_one_that_serves_the_live_release(stack: Stack) -> None:
    live, new = stack.live(), stack.push()
    host = stack.host
    stack.kill("deploy", new, "--yes", "--no-probe", at=done("note restore point"))

    stack.rmu("twin", "fault", "kill-host", host)
    wait_until(lambda: stack.who().get("host") not in (None, host), 300, "another host to serve")

    assert stack.who()["version"] == live
    halted = stack.rmu("resume", "--yes", expect=6)
    assert "hosts changed while the run was dead" in halted["what"]
    assert halted["next"] == f"rmu abandon {halted['run']}"
    given_up = stack.rmu("abandon", halted["run"], "--yes")
    assert given_up["outcome"] == "rolled_back"
    stack.serves_alone(live)
    assert stack.status()["worker"] == {"release": live, "state": "running"}


@pytest.mark.long
def test_a_deploy_killed_early_is_given_up_by_abandon_and_the_worker_is_back(stack: Stack) -> None:
    live, new = stack.live(), stack.push()

    with stack.no_drop():
        killed = stack.kill("deploy", new, "--yes", "--no-probe", at=started("park the worker"))
        run = killed.events[-1]["run"]
        given_up = stack.rmu("abandon", run, "--yes", "--because", "wrong version")

    assert given_up["outcome"] == "rolled_back"
    stack.serves_alone(live)
    assert stack.status()["worker"] == {"release": live, "state": "running"}
