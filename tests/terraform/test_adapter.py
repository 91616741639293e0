"""The adapter on a root of a few lines that needs no provider: what it says, and what it survives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ratemyunit_ops.errors import Busy, Refused
from ratemyunit_ops.outside.terraform import Terraform, TerraformFailed, find_mirror
from tests.terraform.conftest import ROOT, Cloud, nobody_listens, terraforms_of, wait_for

STACK = """
terraform {
  backend "s3" {
    use_lockfile = true
  }
}
resource "terraform_data" "first" { input = var.word }
resource "terraform_data" "slow" {
  input = terraform_data.first.output
  provisioner "local-exec" { command = "sleep ${var.pause}; echo $TF_LOG$TF_VAR_pause; test ${var.word} != broken" }
}
output "said" { value = terraform_data.slow.output }
output "both" { value = { one = "1", two = 2 } }
"""
DECLARED = """
variable "pause" {
  type = number
}
variable "word" {
  type = string
  validation {
    condition     = var.word != "wrong"
    error_message = "That word is wrong."
  }
}
"""
OTHERS_LOCK = {
    "ID": "1f2e",
    "Operation": "OperationTypeApply",
    "Who": "eve@elsewhere",
    "Created": "2026-11-24T10:00:00.123456789Z",
}


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A tree with the same two roots; the stack makes nothing in any cloud."""
    stack = tmp_path / "sources/live/stack"
    stack.mkdir(parents=True)
    (stack / "main.tf").write_text(STACK)
    (stack / "variables.tf").write_text(DECLARED)
    return tmp_path / "sources"


@pytest.fixture
def terraform(cloud: Cloud, sources: Path, tmp_path: Path) -> Terraform:
    """The small stack, with an environment of its own, whose state bucket is there."""
    environment = f"small-{tmp_path.name[-8:]}".replace("_", "-")
    cloud.account.act("s3", "CreateBucket", Bucket=f"rmu-{environment}-state-123456789012")
    return cloud.terraform(environment, tmp_path / "work", sources=sources)


def values(word: str = "hello", pause: int = 0) -> dict[str, str]:
    return {"word": word, "pause": str(pause), "unknown": "not declared, not passed"}


def test_an_apply_tells_what_it_does_while_it_does_it(terraform: Terraform) -> None:
    events: list[tuple[str, str, float]] = []

    done = terraform.apply("stack", values(), lambda *event: events.append(event))

    assert done.create == ("terraform_data.first", "terraform_data.slow")
    assert ("terraform_data.slow", "create started", 0.0) in events
    assert events[-1][:2] == ("terraform_data.slow", "create done")
    assert terraform.plan("stack", values()).empty
    assert terraform.output("stack") == {"said": "hello", "both.one": "1", "both.two": "2"}


def test_a_plan_sorts_changes_by_kind_and_changes_nothing(terraform: Terraform) -> None:
    terraform.apply("stack", values(), nobody_listens)

    changed = terraform.plan("stack", values("other"))

    assert changed.change == ("terraform_data.first", "terraform_data.slow")
    assert changed.create == changed.replace == changed.destroy == ()
    assert terraform.output("stack")["said"] == "hello"


def test_a_wrong_value_is_refused_in_its_own_words(terraform: Terraform) -> None:
    with pytest.raises(Refused, match="That word is wrong"):
        terraform.plan("stack", values("wrong"))


def test_a_failed_apply_says_which_resource(terraform: Terraform) -> None:
    with pytest.raises(TerraformFailed, match=r"terraform_data\.slow") as failed:
        terraform.apply("stack", values("broken"), nobody_listens)

    assert failed.value.exit_code == 6
    assert "its state" in failed.value.state
    assert terraform.plan("stack", values()).replace == ("terraform_data.slow",)  # tainted, hence known


def test_destroy_leaves_nothing(terraform: Terraform) -> None:
    terraform.apply("stack", values(), nobody_listens)

    terraform.destroy("stack", values(), nobody_listens)

    assert terraform.output("stack") == {}


def test_the_operators_own_terraform_settings_do_not_reach_it(
    terraform: Terraform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_LOG", "trace")  # it would write passwords down
    monkeypatch.setenv("TF_CLI_ARGS_plan", "-destroy")
    monkeypatch.setenv("TF_VAR_pause", "600")
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", "/no/such/file")

    done = terraform.apply("stack", values(), nobody_listens)

    assert len(done.create) == 2


def test_the_sources_may_be_read_only(terraform: Terraform, sources: Path) -> None:
    before = sorted(sources.rglob("*"))
    for path in before:
        path.chmod(0o555 if path.is_dir() else 0o444)

    terraform.apply("stack", values(), nobody_listens)

    assert sorted(sources.rglob("*")) == before


def test_the_state_of_somebody_else_is_left_alone_and_they_are_named(cloud: Cloud, terraform: Terraform) -> None:
    cloud.account.act(
        "s3", "PutObject", Bucket=terraform._bucket, Key="stack.tfstate.tflock", Body=json.dumps(OTHERS_LOCK).encode()
    )

    with pytest.raises(Busy, match="eve@elsewhere holds Terraform's state since 2026-11-24 10:00:00 UTC"):
        terraform.plan("stack", values())

    holder = terraform.lock_holder("stack")
    assert holder is not None
    assert (holder.id, holder.created) == ("1f2e", datetime(2026, 11, 24, 10, 0, 0, 123456, tzinfo=UTC))
    assert holder.by_hand.endswith(f"terraform -chdir={terraform._folder('stack')} force-unlock 1f2e")
    assert f"TF_DATA_DIR={terraform._child_environment('stack')['TF_DATA_DIR']} " in holder.by_hand


def test_f36_a_killed_terraform_leaves_a_lock_that_names_it_and_can_be_released(
    terraform: Terraform, tmp_path: Path
) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    died: list[BaseException] = []

    def applying() -> None:
        try:
            terraform.apply("stack", values(pause=10), nobody_listens)
        except TerraformFailed as why:
            died.append(why)

    thread = threading.Thread(target=applying)
    thread.start()
    wait_for(lambda: "slow: Provisioning" in _log(tmp_path))
    for pid in terraforms_of(tmp_path):
        os.kill(pid, signal.SIGKILL)
    thread.join()
    assert died

    holder = terraform.lock_holder("stack")
    assert holder is not None
    assert holder.who.endswith(f"@{os.uname().nodename}")
    assert holder.created > began
    with pytest.raises(Busy):
        terraform.plan("stack", values())

    terraform.unlock("stack", holder.id)

    assert terraform.lock_holder("stack") is None
    terraform.apply("stack", values(), nobody_listens)
    assert terraform.plan("stack", values()).empty


def test_f36_an_unlock_waits_for_a_terraform_that_still_works(
    terraform: Terraform, cloud: Cloud, sources: Path, tmp_path: Path
) -> None:
    """Kill rmu, not Terraform: the lock is ours, but its holder lives, and releasing it would let two of them write."""
    script = textwrap.dedent(f"""
        from pathlib import Path
        from tests.terraform.conftest import Cloud, nobody_listens
        work, sources = Path({str(tmp_path / "work")!r}), Path({str(sources)!r})
        terraform = Cloud({cloud.url!r}).terraform({terraform._environment!r}, work, sources=sources)
        terraform.apply("stack", {values(pause=8)!r}, nobody_listens)
    """)
    rmu = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    wait_for(lambda: "slow: Provisioning" in _log(tmp_path))
    rmu.kill()
    rmu.wait()
    holder = terraform.lock_holder("stack")
    assert holder is not None
    assert terraforms_of(tmp_path)

    terraform.unlock("stack", holder.id)

    assert not terraforms_of(tmp_path)
    assert terraform.lock_holder("stack") is None
    assert terraform.plan("stack", values(pause=8)).empty  # it finished what it began, and its state knows


def test_what_a_dead_terraform_left_running_is_ended_and_holds_nobody_up(
    terraform: Terraform, cloud: Cloud, sources: Path, tmp_path: Path
) -> None:
    """As a provider that was just being started: it waits for its Terraform for ever, with our lock in its hand."""
    script = textwrap.dedent(f"""
        from pathlib import Path
        from tests.terraform.conftest import Cloud, nobody_listens
        work, sources = Path({str(tmp_path / "work")!r}), Path({str(sources)!r})
        terraform = Cloud({cloud.url!r}).terraform({terraform._environment!r}, work, sources=sources)
        terraform.apply("stack", {values(pause=600)!r}, nobody_listens)
    """)
    rmu = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    wait_for(lambda: "slow: Provisioning" in _log(tmp_path))
    rmu.kill()
    rmu.wait()
    for pid in terraforms_of(tmp_path):
        os.kill(pid, signal.SIGKILL)
    assert _sleepers(), "its provisioner should have outlived it"

    holder = terraform.lock_holder("stack")
    assert holder is not None
    terraform.unlock("stack", holder.id)

    assert not _sleepers()
    assert terraform.lock_holder("stack") is None


def _sleepers() -> list[int]:
    """Find the provisioner's `sleep 600`."""
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if proc.joinpath("cmdline").read_bytes().split(b"\0")[:2] == [b"sleep", b"600"]:
                found.append(int(proc.name))
    return found


def test_without_terraform_the_doctor_is_named(terraform: Terraform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(Refused, match="terraform is not on PATH") as refused:
        terraform.plan("stack", values())

    assert refused.value.next == "rmu doctor"


def test_a_named_mirror_of_providers_is_used(tmp_path: Path) -> None:
    assert find_mirror(str(tmp_path)) == tmp_path


def _log(tmp_path: Path) -> str:
    found = list((tmp_path / "work").glob("*/stack-apply.log"))
    return found[0].read_text() if found else ""
