"""Take each guard out once and see its test fail: `python -m tests.mutations [F-NUMBER...]`.

Works on a copy of the committed tree, never on the checkout. A guard is a piece of text that must occur exactly once;
one that does not is an error, so that this list follows the code. Prints the rows of docs/failures.md.
"""

# ruff: noqa: E501  (a guard is quoted as it stands)

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOST = "templates/host/rmu_host"
AWS = "ratemyunit_ops/outside/aws"
ENGINE = "ratemyunit_ops/engine"
STEPS = "ratemyunit_ops/steps"
BY_HOST, ON_BOOT = "tests/pure/test_host_program.py", "tests/pure/test_host_program_boot.py"
RENDERED, FAILURES = "tests/pure/test_render.py", "tests/pure/test_failures.py"
MIGRATIONS = "tests/pure/test_migrations.py"
INFRA = "tests/pure/test_infra.py"
RESTORE = "tests/pure/test_restore.py"
FLEET, TABLE = "tests/contract/test_hosts.py", "tests/contract/test_ledger.py"


@dataclass(frozen=True)
class Mutation:
    """One guard, what stands there without it, and the test that must fail then."""

    number: str
    guard: str
    file: str
    old: str
    new: str
    test: str


MUTATIONS = (
    Mutation("F1", "put the flip back when it cannot be proven", f"{HOST}/traffic.py",
             "    if not reason:\n        return milliseconds\n", "    if True:\n        return milliseconds\n",
             f"{BY_HOST}::test_f01_a_flip_that_cannot_be_proven_is_put_back"),
    Mutation("F2", "the configuration is written whole", "ratemyunit_ops/render.py",
             '"haproxy": "/etc/haproxy/haproxy.cfg",', '"haproxy": "/etc/haproxy/haproxy.part",',
             f"{RENDERED}::test_f02_the_proxys_configuration_is_rendered_whole_and_never_edited"),
    Mutation("F3", "compare the digest that runs", f"{HOST}/ready.py",
             '    if digest != held.get("digest"):', "    if False:",
             f"{BY_HOST}::test_f03_a_container_of_another_digest_is_not_ready"),
    Mutation("F3", "compare the digest at the front door", f"{STEPS}/checks.py",
             "right = (door.version, door.digest) == (self.release.version, self.release.digest)",
             "right = door.version == self.release.version",
             f"{FAILURES}::test_f03_the_digest_that_answers_at_the_front_door_is_compared"),
    Mutation("F4", "ask the proxy who serves", f"{HOST}/traffic.py",
             '            return Live.of(words[2])\n    return read_map(m)', "            break\n    return read_map(m)",
             f"{BY_HOST}::test_f04_the_flip_starts_from_what_the_proxy_does_not_from_what_was_believed"),
    Mutation("F5", "a reboot obeys the host's own map", f"{HOST}/boot.py",
             "    if live.slot and record(m, live.slot):", "    if False:",
             f"{ON_BOOT}::test_f05_a_reboot_obeys_the_hosts_own_map_whatever_the_pointer_says"),
    Mutation("F6", "an unknown backend is nothing live", f"{HOST}/state.py",
             'return cls(slot, tail == "backed") if slot in SLOTS and tail in ("", "backed") else cls()',
             'return cls(slot, tail == "backed")',
             f"{ON_BOOT}::test_f06_a_damaged_map_or_record_is_an_empty_one"),
    Mutation("F7", "backends are fixed ports on loopback", "templates/host/files/haproxy.cfg",
             "server blue 127.0.0.1:3001 check", "server blue blue.local:3001 check",
             f"{RENDERED}::test_f07_backends_are_fixed_loopback_ports_not_names_that_could_move"),
    Mutation("F8", "read back what the proxy was told", f"{HOST}/traffic.py",
             "    if found != live:", "    if False:",
             f"{BY_HOST}::test_f08_a_proxy_that_took_no_notice_is_found_out"),
    Mutation("F8", "read back a hold", f"{HOST}/hold.py",
             "    if until(m) != deadline:", "    if False:",
             "tests/pure/test_host_program_hold.py::test_f08_a_proxy_that_took_no_notice_of_a_hold_is_found_out"),
    Mutation("F10", "drain before a stop", f"{HOST}/slots.py",
             "        drained(m, slot)\n", "        pass\n",
             f"{BY_HOST}::test_f10_a_slot_is_stopped_only_when_nobody_talks_to_it"),
    Mutation("F11", "keep-alive longer than the balancer's idle time", "templates/host/files/haproxy.cfg",
             "timeout http-keep-alive 75s", "timeout http-keep-alive 5s",
             f"{RENDERED}::test_f11_timers_grow_from_the_balancer_inwards"),
    Mutation("F12", "a deploy leaves the balancer alone", "ratemyunit_ops/planning/deploy.py",
             "        Proven(release=ref),\n", "        __import__('ratemyunit_ops.steps.hosts').steps.hosts.StandBy(host=in_service(world)[0]),\n        Proven(release=ref),\n",
             f"{FAILURES}::test_f12_f14_f28_no_deploy_and_no_rollback_takes_a_host_out_of_service"),
    Mutation("F13", "systemd waits longer than the app needs", f"{HOST}/units.py",
             "StopTimeout=40", "StopTimeout=10",
             f"{BY_HOST}::test_f13_the_grace_of_a_stop_is_longer_than_the_apps_own"),
    Mutation("F15", "keep every probe and its reason", f"{HOST}/ready.py",
             "    raise failed(code, detail, probes=probes, log=log_of(m, slot))", "    raise failed(code, detail)",
             f"{BY_HOST}::test_f15_a_release_that_never_gets_ready_shows_every_probe_and_its_log"),
    Mutation("F15", "show the probes", f"{AWS}/hosts.py",
             '    what = "\\n".join([f"{host}: {answer.get(\'detail\') or why}", *_evidence(answer)])',
             '    what = f"{host}: {answer.get(\'detail\') or why}"',
             f"{FLEET}::test_f15_a_release_that_is_never_ready_shows_every_probe_and_the_containers_last_lines"),
    Mutation("F17", "only a verdict `fail` fails a bake", f"{STEPS}/checks.py",
             'if self.probe and seen.verdict == "fail":', 'if self.probe and seen.verdict != "pass":',
             f"{FAILURES}::test_f17_a_probe_without_data_is_inconclusive_and_neither_passes_nor_rolls_back"),
    Mutation("F18", "look at every second of a bake", f"{STEPS}/checks.py",
             "            self._still_serving(o)\n", "",
             f"{FAILURES}::test_f18_a_release_that_falls_over_in_the_bake_is_unwound_at_once_not_at_the_deadline"),
    Mutation("F18", "a proof has a deadline", f"{STEPS}/checks.py",
             "        until = o.clock.monotonic() + self.deadline.total_seconds()\n", "        until = 7200.0\n",
             f"{FAILURES}::test_f18_a_front_door_that_never_agrees_ends_at_its_deadline"),
    Mutation("F19", "the lease comes before the first step", f"{ENGINE}/lease.py",
             "    if seen is not None and held(seen):\n        raise busy(seen)\n    return take(o, seen, run, owner)",
             "    return take(o, seen, run, owner)",
             "tests/pure/test_lease.py::test_a_held_lease_is_busy_and_says_who_and_what_to_type"),
    Mutation("F19", "a stale lease may be taken over", f"{ENGINE}/lease.py",
             "STALE_AFTER = timedelta(seconds=30)", "STALE_AFTER = timedelta(days=28)",
             f"{FAILURES}::test_f19_a_cancelled_ci_job_locks_nobody_out_for_longer_than_half_a_minute"),
    Mutation("F19", "prune before a pull", f"{HOST}/slots.py",
             '    prune(m, release["image"])\n', "",
             f"{BY_HOST}::test_f19_images_of_no_slot_make_room_before_a_pull"),
    Mutation("F20", "a lease without a plan is cleared", f"{ENGINE}/run.py",
             "    if header is None or header.outcome is not None:\n        clear", "    if False:\n        clear",
             f"{FAILURES}::test_f20_a_process_killed_between_lease_and_plan_locks_nobody_out"),
    Mutation("F20", "a lease ends only for its own token", f"{AWS}/ledger.py",
             '"#token = :token AND generation = :generation AND heartbeat = :heartbeat"', '"attribute_exists(pk)"',
             f"{TABLE}::test_a_beat_after_a_take_over_takes_nothing_back"),
    Mutation("F20", "listen for signals before taking the lease", "ratemyunit_ops/cli/carrying.py",
             "        interrupted=listen_for_interrupts(w),\n", "        interrupted=lambda: listen_for_interrupts(w)(),\n",
             f"{FAILURES}::test_f20_the_signal_handler_is_there_before_the_lease_is"),
    Mutation("F21", "undo what was started, not what was done", f"{ENGINE}/carry.py",
             'or not journal.ever(n, "started") or', 'or not journal.ever(n, "done") or',
             f"{FAILURES}::test_f21_what_was_started_but_never_answered_is_cleaned_up_too"),
    Mutation("F22", "a host does not stop what serves", f"{HOST}/slots.py",
             "    if slot in (live.slot, live.backup):", "    if False:",
             f"{BY_HOST}::test_f22_what_stands_behind_is_neither_stopped_nor_overwritten"),
    Mutation("F22", "a failing undo stops the unwinding", f"{ENGINE}/carry.py",
             "    except Exception as second:", "    except Exception as second:\n        return False",
             f"{FAILURES}::test_f22_a_host_refuses_to_stop_what_serves_whatever_the_plan_says"),
    Mutation("F22", "a worker that fails is no way back", "ratemyunit_ops/planning/rollback.py",
             "StartWorker(release=ref, instead_of=live.ref, fence=True)", "StartWorker(release=ref, instead_of=live.ref)",
             f"{FAILURES}::test_f22_a_rollback_whose_worker_does_not_start_stays_with_the_good_release"),
    Mutation("F23", "a call installs its own program", f"{HOST}/slots.py",
             "    fresh.replace(installed)\n", "",
             "tests/pure/test_host_installs.py::test_f23_a_host_runs_the_program_of_its_last_caller"),
    Mutation("F24", "the base must be live", "ratemyunit_ops/planning/deploy.py",
             "    if request.base is not None and request.base != version:", "    if False:",
             "tests/pure/test_planning.py::test_f24_a_deploy_whose_base_is_not_live_is_refused"),
    Mutation("F24", "a stale plan does not begin", f"{ENGINE}/carry.py",
             '        _same_world(c, c.journal.plan.expects, "changed between the plan and its begin")\n', "        pass\n",
             f"{FAILURES}::test_f40_the_second_rollback_planned_on_the_same_world_is_refused"),
    Mutation("F25", "an unwinding gives the worker back", f"{STEPS}/fleet.py",
             "schema_head=self.schema_head, resume_worker=self.worker_before)",
             "schema_head=self.schema_head, resume_worker=None)",
             "tests/pure/test_laws.py::test_undo_restores"),
    Mutation("F26", "a late request does nothing", f"{HOST}/request.py",
             '        if self.m.now() > float(request["not_after"]):', "        if False:",
             f"{BY_HOST}::test_f26_a_request_that_comes_too_late_does_nothing"),
    Mutation("F26", "a network that comes back is no failure", f"{AWS}/ssm.py",
             '            return {"Status": why.what}', "            raise",
             f"{FLEET}::test_f26_a_network_that_is_gone_for_a_while_does_not_fail_a_running_command"),
    Mutation("F27", "wait for a command SSM does not know yet", f"{AWS}/ssm.py",
             '            if why.code != "InvocationDoesNotExist":', "            if True:",
             f"{FLEET}::test_f27_an_invocation_that_is_not_there_yet_is_waited_for"),
    Mutation("F27", "wait for an agent that registers late", f"{AWS}/ssm.py",
             '                if why.code != "InvalidInstanceId":', "                if True:",
             f"{FLEET}::test_f27_an_agent_that_registers_late_is_waited_for"),
    Mutation("F27", "a cut answer is none", f"{AWS}/hosts.py",
             '"its answer was cut at 24,000 characters" if was_cut(result) else ', "",
             f"{FLEET}::test_f27_an_answer_that_was_cut_is_no_answer"),
    Mutation("F28", "act on members in service only", f"{AWS}/hosts.py",
             '        found = sorted(m["InstanceId"] for m in members if m["LifecycleState"] == "InService")',
             '        found = sorted(m["InstanceId"] for m in members)',
             f"{FLEET}::test_f28_only_members_in_service_are_acted_on"),
    Mutation("F28", "a replaced host is caught by what a plan holds", f"{ENGINE}/carry.py",
             '    _same_world(c, c.journal.plan.holds, "changed while the run was dead")\n', "",
             "tests/pure/test_engine.py::test_a_resume_stops_when_a_held_fact_has_changed"),
    Mutation("F28", "look at the hosts again before the pointer is written", f"{ENGINE}/carry.py",
             "            _still_holds(c, n, step)\n", "",
             "tests/pure/test_seams_alive.py::test_f28_a_host_that_is_replaced_at_any_event_ends_up_serving_what_the_others_serve"),
    Mutation("F29", "a new host asks the pointer", f"{HOST}/boot.py",
             '    pointer = cloud.item("pointer", "pointer") or {}', "    pointer: dict[str, Any] = {}",
             f"{ON_BOOT}::test_f29_a_new_host_serves_the_live_release_by_itself"),
    Mutation("F30", "keep the image by a tag of its own", f"{AWS}/registry.py",
             '                imageTag=tag,\n', '                imageTag="kept",\n',
             "tests/contract/test_registry.py::test_f30_a_kept_image_has_a_tag_of_its_own_and_keeping_twice_is_keeping_once"),
    Mutation("F32", "old code is asked whether it runs on the schema", "ratemyunit_ops/planning/rollback.py",
             "    _runs_on_what_is_there(world, target, live)\n", "",
             "tests/pure/test_planning.py::test_f32_old_code_that_cannot_run_on_the_new_schema_is_refused_and_the_restore_named"),
    Mutation("F32", "the old release is tried on the new schema", f"{STEPS}/checks.py",
             "        if works.ok is False:", "        if False:",
             f"{MIGRATIONS}::test_f32_the_old_release_is_tried_on_the_new_schema_before_anything_is_started"),
    Mutation("F33", "a deploy runs expand revisions alone", "ratemyunit_ops/planning/deploy.py",
             "    if contract is not None:", "    if False:",
             f"{MIGRATIONS}::test_f33_a_contract_revision_before_an_expand_one_is_refused_before_anything_is_done"),
    Mutation("F33", "contract only when no older code can come back", f"{STEPS}/database.py",
             "    return (*held, *working, *plain)", "    return ()",
             f"{MIGRATIONS}::test_f33_a_contract_is_refused_while_an_older_release_is_still_warm"),
    Mutation("F33", "a plain rollback counts too", f"{STEPS}/database.py",
             "    return (*held, *working, *plain)", "    return (*held, *working)",
             f"{MIGRATIONS}::test_f33_a_contract_is_refused_while_a_plain_rollback_leads_to_older_code"),
    Mutation("F33", "the old release's writes are tried, on the host", f"{HOST}/oneoff.py",
             '"old_works": works(one, one.held(old)) if old else None,', '"old_works": None,',
             f"{BY_HOST}::test_f33_the_old_release_is_tried_on_the_new_schema_in_the_same_request"),
    Mutation("F34", "an adoption replaces nothing", "ratemyunit_ops/planning/infra.py",
             "    lost = [*summary.replace, *summary.destroy]\n    if lost:\n        raise Refused(\n            f\"after",
             "    lost = [*summary.replace, *summary.destroy]\n    if False:\n        raise Refused(\n            f\"after",
             f"{INFRA}::test_f34_an_adoption_that_would_replace_something_is_refused_before_the_state_is_touched"),
    Mutation("F34", "no other run before it", "ratemyunit_ops/planning/infra.py",
             '    if request.held not in ("", request.database):\n        raise Refused(\n            f"Terraform still',
             '    if False:\n        raise Refused(\n            f"Terraform still',
             f"{INFRA}::test_f34_no_other_run_of_terraform_is_allowed_before_the_restored_database_is_adopted"),
    Mutation("F35", "warm what a restore brings", f"{HOST}/data.py",
             "\\\\else\n{READ_MOST}\n", "\\\\else\n",
             "tests/salvage/test_data.py::test_f35_a_restored_database_is_read_whole_before_it_serves"),
    Mutation("F35", "pass what a restore takes", f"{AWS}/databases.py",
             "            **restore_arguments(like),\n", "",
             "tests/contract/test_databases.py::test_f35_a_restored_instance_has_every_setting_of_its_source"),
    Mutation("F35", "every setting is compared", f"{STEPS}/restore.py",
             "        if wrong:\n            told", "        if False:\n            told",
             f"{RESTORE}::test_f35_every_attribute_that_stays_different_is_named_and_the_copy_is_dropped[security_groups]"),
    Mutation("F36", "release the lock of the own dead try", f"{STEPS}/infra.py",
             "    o.infra.unlock(root, holder.id)", "    pass",
             f"{FAILURES}::test_f36_a_resume_releases_the_state_lock_of_its_own_dead_try"),
    Mutation("F36", "never release somebody else's", f"{STEPS}/infra.py",
             "    if not any(c.who == holder.who and c.since <= holder.created for c in o.carriers):", "    if False:",
             f"{FAILURES}::test_f36_a_state_lock_of_somebody_else_is_never_released"),
    Mutation("F36", "a lock is left by whoever carried the run", f"{STEPS}/infra.py",
             "    if not any(c.who == holder.who and c.since <= holder.created for c in o.carriers):",
             "    if not any(c.who == holder.who and c.since <= holder.created for c in o.carriers[:1]):",
             f"{INFRA}::test_f36_a_third_person_finishes_an_apply_whose_two_carriers_died_inside_terraform"),
    Mutation("F37", "send a command once", f"{AWS}/ssm.py",
             "                once=True,\n", "",
             f"{FLEET}::test_f37_a_command_whose_answer_is_lost_is_never_sent_again"),
    Mutation("F37", "the host's fence", f"{HOST}/request.py",
             '        if seen and mine < (seen["generation"], seen["sequence"]):', "        if False:",
             f"{BY_HOST}::test_f37_an_owner_of_old_is_refused_after_a_take_over"),
    Mutation("F38", "our own token in the item is success", f"{AWS}/ledger.py",
             "            if there == new:\n                return\n", "",
             f"{TABLE}::test_f38_a_beat_sent_twice_by_the_sdk_is_no_lost_lease"),
    Mutation("F39", "health asks no database", "templates/host/files/haproxy.cfg",
             "option httpchk GET /livez", "option httpchk GET /readyz",
             f"{RENDERED}::test_f39_no_health_path_of_the_proxy_asks_the_database"),
    Mutation("F40", "a rollback never toggles", "ratemyunit_ops/planning/rollback.py",
             '    if last is not None and last.verb == "rollback":', "    if False:",
             f"{FAILURES}::test_f40_typing_rollback_twice_does_not_bring_the_bad_release_back"),
    Mutation("F41", "a slot of another database is written anew", "ratemyunit_ops/planning/rollback.py",
             "    return slot is not None and slot.setup == target.setup(database)\n", "    return True\n",
             f"{RESTORE}::test_a_rollback_after_a_restore_sets_its_release_up_with_the_new_database"),
    Mutation("F41", "three looks in a row", f"{STEPS}/restore.py",
             "IN_A_ROW = 3", "IN_A_ROW = 1",
             f"{RESTORE}::test_f41_an_instance_is_available_once_it_looks_so_three_times_with_nothing_pending"),
    Mutation("F41", "the old database is fenced before traffic moves", f"{STEPS}/data.py",
             "        return {**hold_still(o, self.hold), **o.data.fence(self.database)}\n",
             "        return hold_still(o, self.hold)\n",
             f"{RESTORE}::test_f41_nothing_is_renamed_and_both_databases_keep_their_names"),
    Mutation("F41", "an abandon leaves no flip half-done", f"{ENGINE}/carry.py",
             "            _must_go_on(c, because)\n", "",
             f"{RESTORE}::test_a_restore_in_the_middle_of_its_flip_cannot_be_given_up_only_finished"),
    Mutation("F41", "a time without zone is not guessed", "ratemyunit_ops/planning/restore.py",
             "    if found.tzinfo is None:", "    if False:",
             f"{RESTORE}::test_a_time_that_could_be_misread_is_not_guessed"),
    Mutation("F41", "the past that two databases share ends with the first that left it", "ratemyunit_ops/planning/salvage.py",
             "    return min(parted, key=lambda c: c.until)", "    return max(parted, key=lambda c: c.until)",
             f"{RESTORE}::test_two_restores_in_a_row_lose_nothing_that_was_acknowledged"),
)  # fmt: skip


def main(numbers: list[str]) -> int:
    """Try the mutations of these numbers, or all; answer how many tests did not notice."""
    unnoticed = 0
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    print(f"guards of commit {commit.stdout.strip()}, taken out {datetime.now(UTC):%Y-%m-%d %H:%M} UTC", flush=True)
    with tempfile.TemporaryDirectory(prefix="rmu-mutations-") as folder:
        tree = Path(folder)
        archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        for mutation in [m for m in MUTATIONS if not numbers or m.number in numbers]:
            verdict = tried(tree, mutation)
            unnoticed += verdict != "failed"
            print(f"| {mutation.number} | {mutation.guard} | {mutation.test.split('::')[1]} | {verdict} |", flush=True)
    return unnoticed


def tried(tree: Path, mutation: Mutation) -> str:
    """Take one guard out of the copy, run its test, put it back."""
    file = tree / mutation.file
    text = file.read_text()
    if text.count(mutation.old) != 1:
        return f"not tried: the guard occurs {text.count(mutation.old)} times"
    if not passes(tree, mutation.test):
        return "not tried: the test fails with the guard in place"
    file.write_text(text.replace(mutation.old, mutation.new))
    try:
        return "PASSED WITHOUT IT" if passes(tree, mutation.test) else "failed"
    finally:
        file.write_text(text)


def passes(tree: Path, test: str) -> bool:
    """Run one test in the copy, without its bytecode: two texts of one second would look alike."""
    argv = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", test]
    done = subprocess.run(argv, cwd=tree, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(done.stdout + done.stderr)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
