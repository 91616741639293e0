"""Runbooks as data: what a file may say, what it may not, what evidence proves, and what is done when one is run."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rmu_host import data_fence, data_rows
from rmu_host.answers import No

from ratemyunit_ops.cli.carrying import Asked
from ratemyunit_ops.cli.runbooks import Wanted, _command, complaint_of, run_it
from ratemyunit_ops.errors import Failed, Mistyped, Unreachable
from ratemyunit_ops.model import SchemaNote
from ratemyunit_ops.records import schema_entry
from ratemyunit_ops.runbooks import deeds
from ratemyunit_ops.runbooks.binding import Look, checked
from ratemyunit_ops.runbooks.conditions import Condition
from ratemyunit_ops.runbooks.deeds import of_command, of_regex, of_sql
from ratemyunit_ops.runbooks.evidence import Evidence, value_of
from ratemyunit_ops.runbooks.judging import judge
from ratemyunit_ops.runbooks.lint import lint
from ratemyunit_ops.runbooks.reading import Page, read_or_complain
from ratemyunit_ops.runbooks.schema import Input, Read, Runbook, Source
from ratemyunit_ops.shipped import shipped
from ratemyunit_ops.show.runbook import WIDTH, page, terminal
from ratemyunit_ops.steps.looks import CUT, gather
from ratemyunit_ops.steps.runbook import told
from ratemyunit_ops.steps.sources import SOURCES
from ratemyunit_ops.twin import fault_database
from ratemyunit_ops.twin.site import Site
from tests.fakes import BEGIN, FakeWorld
from tests.fakes.operator import KILLED, SETTINGS, Operator, QuietScreen, journal, outcome, story
from tests.fakes.sick import (
    LARGEST,
    PROXY,
    answer,
    command_of,
    hung_worker,
    leaking_app,
    old_certificate,
    runbook,
    shut_out,
    silent_host,
    starving_host,
)

FILES = sorted(shipped("runbooks").glob("*.yaml"))
PAGES = Path(__file__).parents[2] / "docs" / "runbooks"
SMALL = """\
name: small
title: Something small
severity: SEV-3
symptoms: [it is small]
inputs:
  host: {kind: host, says: the host, look_up: first}
  pid: {kind: pid, says: the process, fact: worst}
diagnosis:
  - name: top
    says: who is at work
    command: [ps, -eo, "pid,pcpu"]
    changes: false
    reads:
      worst: {regex: '^ *(\\d+)', type: number}
causes:
  - name: busy
    says: a process is busy
    all: ["worst is known"]
    remedies: [end]
remedies:
  - name: end
    says: end it
    costs: that process
    takes: 5s
    steps:
      - title: end the process
        command: [kill, $pid]
        changes: true
        done: null
        undo: null
    proof: {all: ["worst is unknown"]}
"""


@pytest.fixture
def world() -> FakeWorld:
    made = FakeWorld()
    made.push("v41")
    made.live("v41")
    return made


def silent(world: FakeWorld) -> FakeWorld:
    return silent_host(world, memory=41.0)


def found(folder: Path, text: str) -> list[str]:
    """Lint one file; every finding as it is printed."""
    path = folder / "small.yaml"
    path.write_text(text)
    return [str(f).replace("small.yaml:", "@") for f in lint([path], names=["small"], knows=complaint_of)]


# -- what ships --------------------------------------------------------------------------------------------------------


def test_every_runbook_that_ships_is_clean() -> None:
    names = [p.stem for p in FILES]

    assert [str(f) for f in lint(FILES, names=names, knows=complaint_of)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_runbook_fits_a_terminal_and_its_page_is_up_to_date(path: Path) -> None:
    read = read_or_complain(path)
    assert isinstance(read, Page)

    assert max(map(len, terminal(read.runbook))) < WIDTH
    assert (PAGES / f"{path.stem}.md").read_text() == page(read.runbook), "make runbooks"


def test_every_alarm_names_a_runbook_that_names_the_alarm() -> None:
    text = (shipped("terraform") / "modules/watch/alarms.tf").read_text()
    alarms = dict(re.findall(r"^    ([a-z-]+) = \{\n      says = .*runbook = \"([a-z-]+)\"", text, re.MULTILINE))
    named = {alarm: path.stem for path in FILES for alarm in runbook(path.stem).alarms}

    assert len(alarms) > 10
    assert {**named, **alarms} == {**alarms, **named}
    assert set(alarms) <= set(named)


def test_every_source_that_a_runbook_may_name_is_looked_up() -> None:
    assert set(SOURCES) == set(Source.__args__)  # type: ignore[attr-defined]


# -- what a file may not say -------------------------------------------------------------------------------------------

WRONG = {
    "an unknown key": ("says: who is at work", "say: who is at work", "@10: diagnosis.1.say: rmu does not read"),
    "no changes": ("    changes: false\n", "", "@9: diagnosis.1: a command says changes"),
    "a diagnosis that acts": ("changes: false", "changes: true", "@9: diagnosis.1: a diagnosis changes nothing"),
    "a known changer": ('[ps, -eo, "pid,pcpu"]', "[rm, -f, /tmp/x]", "@11: diagnosis.1.command: changes: false, but"),
    "a restart as a look": ('[ps, -eo, "pid,pcpu"]', "[systemctl, restart, x]", "this systemctl is not on the list"),
    "a shell": ('[ps, -eo, "pid,pcpu"]', "[sh, -c, ps]", "@11: diagnosis.1.command: sh runs a text as a program"),
    "half an input": ("[kill, $pid]", '[kill, "x$pid"]', "@27: remedies.1.steps.1.command: 'x$pid': an input"),
    "an input nobody knows": ("[kill, $pid]", "[kill, $pit]", "remedies.1.steps.1: there is no input pit"),
    "an input nobody uses": ("[kill, $pid]", '[kill, "77"]', "@7: inputs.pid: nothing uses it"),
    "a fact nobody reads": ('["worst is known"]', '["wurst > 1"]', "@18: causes.1.all.1: no check reads wurst"),
    "a wrong literal": ('["worst is known"]', "['worst == \"much\"']", 'worst is a number, "much" is none'),
    "code as a condition": ('["worst is known"]', '["__import__(1)"]', "@18: causes.1.all.1: a condition is: fact op"),
    "no remedy of that name": ("remedies: [end]", "remedies: [ent]", "@19: causes.1.remedies: there is no remedy ent"),
    "no other runbook": ("remedies: [end]", "remedies: [end]\n    see: gone", "@20: causes.1.see: there is no other"),
    "a remedy without proof": ('    proof: {all: ["worst is unknown"]}\n', "", "remedies.1: steps need a proof"),
    "a regex without bounds": ("'^ *(\\\\d+)'", "'(a+)+b'", "regex: no group is repeated"),
    "a length without unit": ("takes: 5s", "takes: 5", "@24: remedies.1.takes: a length of time is written 30s"),
    "a key said twice": ("severity: SEV-3", "severity: SEV-3\nseverity: SEV-1", "@4: severity: stands here twice"),
    "another name": ("name: small", "name: tall", "@1: name: tall stands in"),
    "no YAML": ("symptoms: [it", "symptoms: [[it", "no YAML"),
    "an alias": ("symptoms: [it is small]", "symptoms: &s [it is small]\nalarms: *s", "@5: alarms: what is here is"),
    "a tag": ("severity: SEV-3", "severity: !!binary SEV-3", "@3: severity: has a tag (binary); only plain values"),
    "a tag that lies": ("severity: SEV-3", "severity: !!int SEV-3", "@3: severity: SEV-3 is no int"),
    "a key of two words": ("title: Something", "[a, b]: c\ntitle: Something", "@2: a key is one word"),
    "two documents": ("name: small", "name: small\n---\nname: small", "@3: another document begins; a runbook is one"),
    "a control character": ("Something small", "Something \x07 small", "@1: no YAML: it holds the character #x0007"),
    "a bottomless list": ("symptoms: [it is small]", "symptoms: " + "[" * 5000, "no YAML: it is nested too deep"),
    "a verb that is none": ("    steps:", "    verb: [host, fly]\n    stepz:", "rmu does not read this key"),
}  # fmt: skip


@pytest.mark.parametrize(("was", "says", "finding"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_named_with_file_line_and_key(was: str, says: str, finding: str, tmp_path: Path) -> None:
    was, says = was.replace("\\\\", "\\"), says.replace("\\\\", "\\")
    assert was in SMALL

    assert any(finding in line for line in found(tmp_path, SMALL.replace(was, says, 1)))


def test_all_that_is_wrong_is_named_and_a_file_that_is_no_text_is_no_yaml(tmp_path: Path) -> None:
    two = SMALL.replace("severity: SEV-3", "severity: SEV-9").replace("takes: 5s", "takes: 5")
    (tmp_path / "image.yaml").write_bytes(b"name: \xff")

    assert [line.split(": ")[1] for line in found(tmp_path, two)][:2] == ["severity", "remedies.1.takes"]
    assert found(tmp_path, "")[0].startswith("@1: name: is missing")
    assert [str(f) for f in lint([tmp_path / "image.yaml"], names=[])] == [
        "image.yaml:1: no YAML: byte 7 of it is no UTF-8"
    ]
    with pytest.raises(Mistyped, match=r"none\.yaml cannot be read: No such file"):
        lint([tmp_path / "none.yaml"], names=[])


def test_the_small_one_is_clean(tmp_path: Path) -> None:
    assert found(tmp_path, SMALL) == []


def test_a_verb_must_be_one_that_rmu_takes() -> None:
    assert complaint_of(["host", "reboot", "X"]) == ""
    assert complaint_of(["host", "fly"]) == "rmu has no command host fly"
    assert complaint_of(["host", "reboot", "X", "--hard"]) == "rmu host reboot has no option --hard"


ACTS = (
    "systemctl restart x;systemctl stop x;systemctl daemon-reload;podman stop x;podman system prune;kill 7;"
    "pkill x;tee /x;dd if=/x of=/y;reboot;shutdown now;rm /x;mv /x /y;psql -c x;redis-cli flushall;"
    "redis-cli config set a b;sed -i s/a/b/ x;find / -delete;find / -exec rm x;curl -X POST http://x;"
    "curl -d a http://x;journalctl --vacuum-size=1M;sysctl -w a=b;ip link set x down;nft flush ruleset;mount /x;"
    "dmesg -C;date -s now;timeout 3 kill 7;/usr/bin/rm /x;truncate -s0 x;"
    "timeout -k 1 3 rm -rf /x;timeout --signal=KILL 3 systemctl stop haproxy;timeout -s9 3 kill 7;timeout 3;"
    "curl -X POST -o /dev/null http://x/queue/pause;curl -XDELETE -o/dev/null http://x;curl --request=POST http://x;"
    "curl -o /x http://x;curl dict://127.0.0.1:6379/flushall;curl gopher://x;curl x;curl -K /x http://x;"
    "curl -w %output{/x} http://x;systemctl stop haproxy status;systemctl -H status stop haproxy;"
    "systemctl --no-pager stop status;podman --log-level info stop rmu-blue;podman --log-level=info rm x;"
    "podman container rm x;redis-cli client pause 100000;redis-cli client kill type normal;"
    "redis-cli -n info flushall;redis-cli memory purge;redis-cli slowlog reset;redis-cli --rdb /x;"
    "redis-cli --eval /x;service redis stop;pg_ctlcluster 17 main stop;haproxy -sf 12;mkfs.ext4 /dev/x;killall5;"
    "kexec -e;date 0101;hostname x;hostname -F /x;journalctl --rot;journalctl --vac=1M;journalctl --flush;"
    "sed -n 1w/x /y;sed 1e /y;sort -uo/x /y;sort --output=/x /y;ss -K;ss -tK dst x;find / -fprintf /x a;"
    "openssl x509 -out /x;openssl rand -writerand /x;sysctl a=b;sysctl -p;ip -b /x;ip netns exec a b;ip a d x dev y;"
    "/tmp/cat /x;lsof -D b;docker rm x;timedatectl set-ntp false;fuser -k /x;curl --head=x http://x;made-up"
)
LOOKS = (
    "systemctl status x;systemctl --failed;systemctl is-active x;podman ps -a;podman logs x;journalctl -u x -n 9;"
    "cat /x;df -h;redis-cli ping;redis-cli INFO;timeout 3 redis-cli ping;"
    "curl -s -o /dev/null -w %{http_code} http://x;ip addr;ip -br a;ss -tn;free -b;ps aux;sysctl vm.swappiness;"
    "find /var -size +9M;sed -n 1,5p /x;du -s /x;dmesg;date;openssl x509 -noout;"
    "timeout -k 1 3 redis-cli ping;timeout --signal=KILL 3 cat /x;curl -sSf -m5 -o/dev/null https://x;"
    "curl -X GET -I http://x;journalctl -rn40 -o cat --grep a|b --no-pager;systemctl list-units --all --plain x;"
    "systemctl show x -p MainPID --value;podman --log-level=error ps;podman system df;podman container ls;"
    "redis-cli -h 127.0.0.1 -p 6379 -n 0 llen x;redis-cli config get maxmemory;redis-cli client list;"
    "redis-cli slowlog get 9;find / -xdev -type f -mtime -7 -print;sort -rn -k2 /x;date -u +%s;hostname -f;"
    "openssl s_client -connect x:443 -servername x;ip -s link show eth0;ip route get 1.1.1.1;lsof -nP +L1;"
    "ls -l /x;head -n 5 /x;tail -n 5 /x;grep -c a /x;stat /x;uptime;vmstat 1 3;lsblk;dmesg -T --level=err;"
    "/usr/bin/df -h;/bin/cat /x;pgrep -a x;getent hosts x;resolvectl query x;timedatectl;true;wc -l /x;id x"
)


@pytest.mark.parametrize("text", ACTS.split(";"))
def test_what_is_not_known_to_look_is_no_look(text: str) -> None:
    assert of_command(text.split(), changes=False) != ""
    assert of_command(text.split(), changes=True) == "" or text == "timeout 3"


@pytest.mark.parametrize("text", LOOKS.split(";"))
def test_a_look_is_let_through(text: str) -> None:
    assert of_command(text.split(), changes=False) == ""


@pytest.mark.parametrize(
    "text", ["timeout -k 1 3 sh -c x", "timeout 3 env rm /x", "timeout --fast 3 rm /x", "timeout 3"]
)
def test_a_limit_hides_no_shell_from_a_remedy_either(text: str) -> None:
    assert of_command(text.split(), changes=True) != ""


def test_an_input_never_says_what_a_look_does() -> None:
    assert of_command(["systemctl", "$verb", "x"], changes=False) != ""
    assert of_command(["redis-cli", "$verb"], changes=False) != ""
    assert of_command(["sysctl", "$name"], changes=False) != ""
    assert of_command(["podman", "logs", "$name"], changes=False) == ""


def test_a_runbook_that_lint_refuses_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = SMALL.replace('[ps, -eo, "pid,pcpu"]', "[timeout, -k, '1', '3', rm, -f, /x]")
    (tmp_path / "small.yaml").write_text(small)
    # Patched, since only those that ship are run.
    monkeypatch.setattr("ratemyunit_ops.cli.runbooks.shipped", lambda name: tmp_path)

    with pytest.raises(Mistyped, match=r"small\.yaml, line 11: diagnosis\.1\.command: changes: false, but rm ") as why:
        run_it(Wanted(name="small"), Asked(because=None, dry_run=False, yes=True))

    assert why.value.exit_code == 2


SQL_LOOKS = (
    "select 1",
    "with a as (select 1) select * from a;",
    "select pid from pg_stat_activity where pid = :'pid'::int and query ~ '^update x; --'",
    "select current_setting('max_connections'), now() - interval '5 minutes', 'a;b'",
)
SQL_ACTS = (
    "select pg_terminate_backend(7)",
    "update units set name = 'x'",
    "with gone as (delete from units returning 1) select * from gone",
    "select setval('s', 1)",
    "alter role rmu_app nologin",
    "vacuum units",
)
SQL_NEVER = (
    "select 1; select 2",
    "select 1 \\gexec",
    "select :pid",
    'select :"pid"',
    "select 1 -- and",
    "do $$ begin end $$",
)


def test_lint_and_host_tell_a_look_from_an_act_by_the_same_words() -> None:
    lint = [deeds.SQL_LOOKS, deeds.SQL_ACTS, deeds.QUOTED, deeds.TEXTS]
    host = [data_rows.LOOKS, data_rows.ACTS, data_rows.QUOTED, data_rows.TEXTS]

    assert [(one.pattern, one.flags) for one in lint] == [(one.pattern, one.flags) for one in host]


@pytest.mark.parametrize("sql", [*SQL_LOOKS, *SQL_ACTS, *SQL_NEVER])
def test_lint_and_host_agree_on_what_a_statement_does(sql: str) -> None:
    def on_host() -> str:
        try:
            text = data_rows.QUOTED.sub("''", data_rows.whole(sql))
        except No:
            return "never"
        return "looks" if data_rows.LOOKS.match(text) and not data_rows.ACTS.search(text) else "acts"

    def by_lint() -> str:
        if of_sql(sql, changes=True, inputs=("pid",)):
            return "never"
        return "acts" if of_sql(sql, changes=False, inputs=("pid",)) else "looks"

    wanted = "looks" if sql in SQL_LOOKS else "acts" if sql in SQL_ACTS else "never"
    # The host lets a read-only transaction refuse DML; the lint sees it before anybody asks.
    assert by_lint() == wanted
    assert on_host() == wanted or (wanted == "acts" and "delete" in sql)


@pytest.mark.parametrize("text", ["(a+)+b", "(a|b)*c", "a.*b.*c.*d", "(", "(a)(b)", r"(a)\1", "(?=a)b", "x" * 201])
def test_a_regex_that_may_take_for_ever_is_refused(text: str) -> None:
    assert of_regex(text) != ""


@pytest.mark.parametrize("text", [r"^MemTotal:\s+(\d+)", "OOM killer|oom-kill", r"^(\S+)\s+\S+\s+failed", r"(\d+)%"])
def test_a_bounded_regex_is_let_through(text: str) -> None:
    assert of_regex(text) == ""


# -- inputs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value"),
    [("pid", "1"), ("pid", "0"), ("pid", "7; rm"), ("host", "i-1 -x"), ("text", "-rf"), ("text", "a\nb"), ("run", "x")],
)
def test_an_input_that_is_not_of_its_kind_is_refused(kind: Any, value: str) -> None:
    with pytest.raises(Mistyped, match="input it"):
        checked("it", Input(kind=kind, says="it"), value)


def test_an_input_that_nobody_knows_is_named_with_what_to_type(world: FakeWorld) -> None:
    answered = Operator(world).runbook("database-connections", "end-session")

    assert answered.code == 2
    assert answered.why.startswith("nobody knows the input pid")
    assert answered.failure.next == "rmu runbook run database-connections --input pid=VALUE"


def test_an_input_or_a_remedy_that_does_not_exist_is_named(world: FakeWorld) -> None:
    assert "it has: host, database" in Operator(world).runbook("queue-stalled", inputs=["pit=7"]).why
    assert "names no value" in Operator(world).runbook("queue-stalled", inputs=["pit"]).why
    assert "there is no runbook flood" in Operator(world).runbook("flood").why
    assert "has no remedy pray" in Operator(world).runbook("queue-stalled", "pray").why


# -- evidence, facts, causes -------------------------------------------------------------------------------------------


def read_of(**keys: Any) -> Read:
    return Read.model_validate(keys)


def test_facts_are_read_of_rows_documents_and_lines() -> None:
    rows = Evidence(check="x", rows=({"role": "app", "n": "7"}, {"role": "ops", "n": "2"}, {"role": "app", "n": "3"}))
    document = Evidence(check="x", document={"hosts": {"a": {"n": 1}, "b": {"n": 4}}, "list": [{"on": True}]})
    lines = Evidence(check="x", text="ActiveState=active\nkilled 7\nkilled 9\n", exit=0)

    assert value_of(read_of(column="n", where={"role": "app"}, take="sum", type="number"), rows) == 10
    assert value_of(read_of(path="hosts[*].n", take="max", type="number"), document) == 4
    assert value_of(read_of(path="list[0].on", type="truth"), document) is True
    assert value_of(read_of(regex=r"^ActiveState=(\S+)"), lines) == "active"
    assert value_of(read_of(regex=r"killed (\d+)", take="last", type="number"), lines) == 9
    assert value_of(read_of(regex="killed", take="count"), lines) == 2
    assert value_of(read_of(exit=True), lines) == 0


def test_what_is_not_there_is_unknown_unless_it_says_what_else() -> None:
    empty, silent = Evidence(check="x", text=""), Evidence(check="x", answered=False, why="gone")

    assert value_of(read_of(regex="PONG"), empty) is None
    assert value_of(read_of(regex="PONG", **{"else": "silent"}), empty) == "silent"
    assert value_of(read_of(regex="PONG", **{"else": "silent"}), silent) is None
    assert value_of(read_of(answered=True), silent) is False
    assert value_of(read_of(error=True), silent) == "gone"


def test_what_is_not_in_an_answer_that_was_cut_is_unknown() -> None:
    cut = Evidence(check="x", text="done\n", rows=({"n": "1"},), cut=CUT, exit=0)

    assert value_of(read_of(regex="done", take="count"), cut) == 1
    assert value_of(read_of(regex="failed", take="count"), cut) is None
    assert value_of(read_of(regex="PONG", **{"else": "silent"}), cut) is None
    assert value_of(read_of(column="n", where={"n": 2}, take="count"), cut) is None
    assert value_of(read_of(exit=True), cut) == 0


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_of_a_journal_the_newest_lines_come_first_since_ssm_keeps_the_first(path: Path) -> None:
    asked = [c.command for c in runbook(path.stem).diagnosis if c.command and c.command[0] == "journalctl"]

    # With --grep and -n, journalctl begins with the newest by itself.
    assert [a for a in asked if "-n" not in a or not {"-r", "--grep"} & {*a}] == []


def test_a_condition_compares_a_fact_with_a_literal_and_is_nothing_more() -> None:
    facts = {"n": 7, "state": "alarm"}

    assert Condition.parse("n >= 7").holds(facts) is True
    assert Condition.parse('state in ["ok", "alarm"]').holds(facts) is True
    assert Condition.parse("gone > 1").holds(facts) is None
    assert Condition.parse("gone is unknown").holds(facts) is True
    with pytest.raises(ValueError, match="no literal"):
        Condition.parse("n > other")


def test_the_first_cause_that_holds_is_the_likeliest_and_its_reasons_are_told(world: FakeWorld) -> None:
    book = runbook("queue-stalled")
    seen = gather(hung_worker(world).outside(), book, {}, environment="test")

    judged = judge(book, seen.evidence)

    assert judged.cause == "worker-hung"
    assert judged.likeliest is not None
    assert judged.likeliest.speaks_for == ('worker_state == "active"', "stopped_worker > 0 (1)")
    assert next(v for v in judged.verdicts if v.cause == "takes-nothing").holds == "yes"


def test_recorded_evidence_is_judged_as_it_was(world: FakeWorld) -> None:
    book = runbook("queue-stalled")
    seen = gather(hung_worker(world).outside(), book, {}, environment="test")
    recorded = [e.model_dump_json() for e in seen.evidence]

    again = judge(book, [Evidence.model_validate_json(text) for text in recorded])

    assert again == judge(book, seen.evidence)


def test_a_healthy_world_has_none_of_the_causes(world: FakeWorld) -> None:
    hung_worker(world).does[command_of(runbook("queue-stalled"), "restart-worker")]()

    answered = Operator(world).runbook("queue-stalled")

    assert "none of the causes that this runbook knows is shown by the evidence" in answered.screen.said


@pytest.mark.parametrize(("memory", "cause"), [(97.0, "memory-killed-the-agent"), (41.0, "frozen")])
def test_a_frozen_host_and_one_out_of_memory_are_told_apart(world: FakeWorld, memory: float, cause: str) -> None:
    seen = gather(silent_host(world, memory=memory).outside(), runbook("host-unresponsive"), {}, environment="test")

    judged = judge(runbook("host-unresponsive"), seen.evidence)

    assert seen.inputs["host"] == "i-1"
    assert judged.cause == cause
    assert judged.likeliest is not None and judged.likeliest.remedies == ("reboot", "replace")


def test_a_host_that_took_no_command_is_not_asked_again(world: FakeWorld) -> None:
    seen = gather(silent_host(world, memory=41.0).outside(), runbook("host-unresponsive"), {}, environment="test")

    assert world.faults.calls.count("shell.run") == 1
    assert "fleet.survey" not in world.faults.calls
    assert next(e.why for e in seen.evidence if e.check == "slots") == "not asked: i-1 took no command a moment ago"


def test_a_host_that_is_gone_and_a_database_that_is_silent_are_evidence(world: FakeWorld) -> None:
    world.hosts.clear()

    answered = Operator(world).runbook("host-unresponsive")

    assert answered.code == 0
    assert any("no host is in the group" in line for line in answered.screen.said)


def test_a_command_that_never_ends_is_evidence_and_looking_goes_on(world: FakeWorld) -> None:
    late = Failed("“exec” was cut off on i-1: TimedOut", state="", next="")
    hung_worker(world).fail("shell.run", late, nth=3)

    seen = gather(world.outside(), runbook("queue-stalled"), {}, environment="test")

    cut = next(e for e in seen.evidence if e.check == "processes")
    assert (cut.answered, cut.why) == (False, late.what)
    assert seen.evidence[-1].answered


def words_of(book: Runbook) -> tuple[str, ...]:
    return next(c.command or () for c in book.diagnosis if c.name == "words")


def test_facts_are_read_of_a_whole_answer_of_which_the_journal_keeps_both_ends(world: FakeWorld) -> None:
    book = runbook("queue-stalled")
    long = "the beginning\n" + "x\n" * 3000 + '{"outcome": "done"}\n' + "x\n" * 3000 + "the end"
    hung_worker(world).prints[words_of(book)] = long

    seen = gather(world.outside(), book, {}, environment="test")
    words = next(e for e in seen.evidence if e.check == "words")
    entry = told([words], "")["evidence"][0]

    assert (words.text, words.cut, seen.facts["scraped"]) == (long, "", 1)
    assert entry["whole"].startswith("the beginning\nx")
    assert entry["whole"].endswith("x\nthe end")
    assert len(entry["whole"]) < 6100
    assert entry["cut"] == f"kept the first and the last 3000 of {len(long)} characters"


def test_output_beyond_what_ssm_keeps_is_evidence_that_says_what_is_lacking(world: FakeWorld) -> None:
    book = runbook("queue-stalled")
    hung_worker(world).prints[words_of(book)] = '{"outcome": "done"}\n' + "x" * 30_000 + '\n{"outcome": "failed"}'

    seen = gather(world.outside(), book, {}, environment="test")

    words = next(e for e in seen.evidence if e.check == "words")
    assert words.answered
    assert words.cut == CUT
    assert judge(book, seen.evidence).cause == "worker-hung"


# -- who is ended for its memory ---------------------------------------------------------------------------------------


def test_the_largest_process_is_found_on_a_host_with_hundreds_of_them(world: FakeWorld) -> None:
    host = starving_host(world)

    seen = gather(world.outside(), runbook("host-unresponsive"), {}, environment="test")
    judged = judge(runbook("host-unresponsive"), seen.evidence)

    assert (seen.facts["largest_kb"], seen.inputs["pid"], seen.inputs["process"]) == (612_000, LARGEST, host.says())
    assert judged.cause == "out-of-memory"
    assert judged.likeliest is not None
    assert judged.likeliest.remedies[0] == "end-largest"


def test_kernel_threads_are_not_asked_for_since_ssm_keeps_the_first_24000_characters() -> None:
    hungry = next(c.command or () for c in runbook("host-unresponsive").diagnosis if c.name == "hungry")

    assert hungry[:6] == ("ps", "--ppid", "2", "-p", "2", "--deselect")


@pytest.mark.parametrize("unit", ["haproxy.service", "rmu-blue.service", "rmu-green.service", "redis-server.service"])
def test_what_serves_is_not_offered_to_be_ended_nor_ended(world: FakeWorld, unit: str) -> None:
    host = starving_host(world, unit=unit)

    looked = Operator(world).runbook("host-unresponsive")
    picked = Operator(world).runbook("host-unresponsive", "end-largest")

    assert looked.screen.document is not None
    assert looked.screen.document["cause"] == "out-of-memory"
    offered = [one["name"] for one in looked.screen.document["remedies"]]
    assert offered[0] == "restart-release"
    assert "end-largest" not in offered
    assert picked.code == 3
    assert picked.why.startswith("end-largest is only where the process is none of what serves: ")
    assert host.ended == []
    assert world.lease_is_free()


def test_a_process_that_somebody_names_is_not_ended_either_where_it_serves(world: FakeWorld) -> None:
    host = starving_host(world)

    picked = Operator(world).runbook("host-unresponsive", "end-largest", inputs=[f"pid={PROXY}"])

    assert (picked.code, host.ended) == (3, [])


def test_the_largest_process_is_ended_once_it_was_seen_to_be_the_same(world: FakeWorld) -> None:
    host = starving_host(world)

    ended = Operator(world).runbook("host-unresponsive", "end-largest")

    assert ended.code == 0
    assert host.ended == [LARGEST]
    assert story(world)[1::2] == ["started holds", "started holds", "started command", "started holds", "closed done"]


def test_another_process_by_that_number_is_left_alone(world: FakeWorld) -> None:
    host = starving_host(world)
    world.on_event("event#00005", host.give_the_number_away)

    Operator(world).runbook("host-unresponsive", "end-largest")

    assert host.ended == []


@pytest.mark.parametrize("acted", [False, True])
def test_a_resume_ends_nobody_who_got_the_number_meanwhile(world: FakeWorld, acted: bool) -> None:
    host = starving_host(world)
    if acted:
        world.cut_off_after_event(5)
    else:
        world.kill_after_event(5)
    assert Operator(world).runbook("host-unresponsive", "end-largest").code == KILLED
    ended, host.ended = host.ended, []
    host.give_the_number_away()

    Operator(world, "bob@ci").resume()

    assert (ended, host.ended) == ([LARGEST] if acted else [], [])


def test_nothing_is_ended_where_nobody_tells_who_it_is_now(world: FakeWorld) -> None:
    host = starving_host(world)
    world.on_event("event#00005", host.tell_nobody)

    ended = Operator(world).runbook("host-unresponsive", "end-largest")

    assert ended.code == 5
    assert ended.why.startswith("end the process that takes the most memory: whether it is so already, nobody says: ")
    assert host.ended == []


def test_the_run_that_changed_the_schema_is_named_and_one_that_did_not_is_none(world: FakeWorld) -> None:
    def schema() -> Any:
        return SOURCES["ledger"](world.outside(), Look(check="it", says="it", source="ledger"))["schema"]

    note = SchemaNote(at=BEGIN, database=world.live_database(), head="0001", run="r-first")
    world.put(schema_entry(note))
    before = schema()
    world.put(schema_entry(note.model_copy(update={"at": BEGIN + timedelta(seconds=10), "run": "r-no-change"})))
    later = {"at": BEGIN + timedelta(seconds=60), "head": "0002", "run": "r-changed"}
    world.put(schema_entry(note.model_copy(update=later)))
    world.clock.sleep(100)

    assert before is None
    assert schema() == {"run": "r-changed", "head": "0002", "was": "0001", "age_s": 40}


# -- runs --------------------------------------------------------------------------------------------------------------


def test_a_diagnosis_takes_no_lease_writes_nothing_and_stops_nothing(world: FakeWorld) -> None:
    hung_worker(world)
    before = world.everything()

    answered = Operator(world).runbook("queue-stalled")

    assert answered.code == 0
    assert world.everything() == before
    assert answered.screen.document is not None
    assert answered.screen.document["cause"] == "worker-hung"


@pytest.mark.parametrize("sick", [lambda world: None, silent, hung_worker, shut_out, leaking_app, old_certificate])
@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_no_runbook_changes_anything_before_a_person_has_picked(
    world: FakeWorld, path: Path, sick: Callable[[FakeWorld], Any]
) -> None:
    answer(world, runbook(path.stem), {})
    sick(world)
    before = world.everything()

    answered = Operator(world).runbook(path.stem, yes=True)

    assert answered.code == 0
    assert world.everything() == before
    assert world.lease_is_free()
    assert (world.lost, world.broken) == ([], [])


def test_a_diagnosis_works_beside_a_run_of_somebody_else_and_a_remedy_does_not(world: FakeWorld) -> None:
    hung_worker(world).push("v42")
    world.kill_after_event(9)
    assert Operator(world).deploy("v42").code == KILLED

    assert Operator(world).runbook("queue-stalled").code == 0
    assert Operator(world, "bob@ci").runbook("queue-stalled", "restart-worker").code == 4


def test_a_remedy_is_a_run_that_looks_again_acts_and_proves_it(world: FakeWorld) -> None:
    answered = Operator(hung_worker(world)).runbook("queue-stalled", "restart-worker")

    assert answered.code == 0
    assert story(world)[1::2] == ["started holds", "started command", "started holds", "closed done"]
    kept = journal(world)[-2].facts
    assert kept["evidence"][0]["check"] == "queue"
    assert "running > 0 (1)" in kept["saw"]


def test_a_fence_is_lifted_for_both_roles_that_it_shuts(world: FakeWorld) -> None:
    shut_out(world)

    assert Operator(world).runbook("restore-wrong", "lift-fence").code == 0

    assert [row["may"] for row in world.sql("select rolname as role, rolcanlogin as may from", {})] == ["t", "t"]


def test_half_a_fence_is_still_one(world: FakeWorld) -> None:
    """As the remedy left it that knew of the application alone: the next migration fails."""
    shut_out(world, ["rmu_migrate"])

    document = Operator(world).runbook("restore-wrong").screen.document

    assert document is not None and document["cause"] == "still-fenced"


def test_the_local_fault_shuts_whom_a_fence_shuts(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    # There is no machine here: what PostgreSQL would be told is all that is asked about.
    monkeypatch.setattr(fault_database.postgres, "tell", lambda machine, sql: told.append(sql))
    monkeypatch.setattr(fault_database, "database_of", lambda site, target: SimpleNamespace(name="db"))

    fault = fault_database.FAULTS["app-fenced"]
    assert fault.mend is not None
    fault.make(cast(Site, None), None)
    fault.mend(cast(Site, None), None)

    assert told == [data_fence.SHUT, data_fence.OPEN]


def test_a_remedy_that_does_not_help_is_taken_back_as_far_as_it_can_be(world: FakeWorld) -> None:
    hung_worker(world, a_restart_helps=False)

    answered = Operator(world).runbook("queue-stalled", "pause-restart-resume")

    assert answered.code == 5
    assert answered.why.startswith("it helped: the symptom is gone: not so after 180 s: ")
    assert world.queue is not None
    assert not world.queue.paused
    assert outcome(world) == "rolled_back"


def test_a_dry_run_shows_the_plan_and_changes_nothing(world: FakeWorld) -> None:
    hung_worker(world)
    before = world.everything()

    answered = Operator(world).runbook("queue-stalled", "pause-restart-resume", dry_run=True)

    assert answered.screen.planned is not None
    assert answered.screen.planned.titles() == (
        "still so: the worker's unit is active and its process is stopped where it is",
        "pause the queue",
        "restart the worker",
        "resume the queue",
        "it helped: the symptom is gone",
    )
    assert world.everything() == before


def test_a_dry_run_of_a_dead_remedys_own_command_shows_what_is_still_to_do(world: FakeWorld) -> None:
    world.kill_after_event(2)
    assert Operator(hung_worker(world)).runbook("queue-stalled", "pause-restart-resume").code == KILLED
    before = world.everything()

    document = Operator(world).runbook("queue-stalled", "pause-restart-resume", dry_run=True).screen.document

    assert document is not None
    assert (document["run"], document["outcome"]) == ("r-001", "dry_run")
    assert document["steps"] == [
        "pause the queue",
        "restart the worker",
        "resume the queue",
        "it helped: the symptom is gone",
    ]
    assert world.everything() == before


def test_a_cause_that_is_gone_by_the_time_it_is_agreed_to_changes_nothing(world: FakeWorld) -> None:
    book = runbook("queue-stalled")
    hung_worker(world)
    world.on_event("event#00001", world.does[command_of(book, "restart-worker")])

    answered = Operator(world).runbook("queue-stalled", "restart-worker")

    assert answered.code == 3
    assert answered.why.startswith("still so: ")


CAREFUL = SETTINGS.model_copy(update={"env": SETTINGS.env.model_copy(update={"confirm": True})})
"""An environment that wants a consent."""


def thinks(world: FakeWorld, minutes: int, *, meanwhile: Callable[[], Any] = lambda: None) -> Operator:
    """Answer y after some minutes."""

    def answer(question: str) -> bool:
        world.clock.sleep(minutes * 60)
        meanwhile()
        return True

    return Operator(world, settings=CAREFUL, answer=answer)


def test_an_approval_that_comes_too_late_is_none(world: FakeWorld) -> None:
    answered = thinks(hung_worker(world), 11).runbook("queue-stalled", "restart-worker", yes=False)

    assert answered.code == 3
    assert answered.why == "the approval came 11 min 0 s after the evidence; it is good for 10 min 0 s"
    assert world.lease_is_free()


def test_an_approval_is_as_old_as_the_clock_on_the_wall_says_though_the_laptop_slept(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Patched, since this clock stands still while a machine sleeps.
    monkeypatch.setattr(world.clock, "monotonic", lambda: 0.0)

    answered = thinks(hung_worker(world), 60).runbook("queue-stalled", "restart-worker", yes=False)

    assert (answered.code, answered.why[:27]) == (3, "the approval came 1 h 0 min")


def hands_over(who: Operator, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """Let the command that takes over work in this world, too, and ask the same person."""
    # Patched, since the real ones make ports to an account.
    monkeypatch.setattr("ratemyunit_ops.settings.load", lambda env: CAREFUL)
    monkeypatch.setattr("ratemyunit_ops.settings.user", lambda: "ann@laptop")
    monkeypatch.setattr("ratemyunit_ops.cli.wire.compose", lambda settings, people: who.world.outside("ann@laptop"))
    monkeypatch.setattr("ratemyunit_ops.cli.wire.Screen", lambda **how: QuietScreen(answer=who._answer))
    monkeypatch.setattr("ratemyunit_ops.cli.wire.right_account", lambda w: None)
    return who


def runs_of(world: FakeWorld) -> list[str]:
    return [name for kind, name in world.table.items if kind == "run"]


def test_a_verb_that_was_agreed_to_too_late_is_not_carried(world: FakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    who = hands_over(thinks(silent_host(world, memory=41.0), 180), monkeypatch)

    answered = who.runbook("host-unresponsive", "reboot", yes=False)

    assert answered.code == 3
    assert answered.why == "the approval came 3 h 0 min after the evidence; it is good for 10 min 0 s"
    assert world.lease_is_free()
    assert runs_of(world) == ["r-000-v41"]


def test_a_verb_whose_cause_is_gone_by_the_time_it_is_agreed_to_is_not_carried(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def thaw() -> None:
        world.hosts[0].booted = 1.0
        world.prints["true",] = ""

    who = hands_over(thinks(silent_host(world, memory=41.0), 1, meanwhile=thaw), monkeypatch)

    answered = who.runbook("host-unresponsive", "reboot", yes=False)

    assert answered.code == 3
    assert answered.why.startswith("still so: the machine runs and answers nobody")
    assert runs_of(world) == ["r-000-v41"]


def test_a_verb_that_is_agreed_to_in_time_is_carried(world: FakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    who = hands_over(thinks(silent_host(world, memory=41.0), 1), monkeypatch)

    answered = who.runbook("host-unresponsive", "reboot", yes=False)

    assert answered.code == 0
    assert runs_of(world) == ["r-000-v41", "r-002"]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_verb_that_a_runbook_hands_over_to_asks_whether_it_is_still_agreed_to(path: Path) -> None:
    verbs = [remedy.verb for remedy in runbook(path.stem).remedies if remedy.verb]

    takes = {verb[:2]: inspect.signature(_command(verb)[0].callback).parameters for verb in verbs}

    assert [verb for verb, parameters in takes.items() if "ctx" not in parameters] == []


def test_a_remedy_that_is_a_verb_is_handed_over_with_what_was_said(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed: list[str] = []
    # Patched, since the real one would wire an environment of its own.
    monkeypatch.setattr("typer.Typer.__call__", lambda app, words, **how: typed.extend(words))

    Operator(silent_host(world, memory=41.0)).runbook("host-unresponsive", "restart-agent")
    handed = " ".join(typed)
    typed.clear()
    Operator(world).runbook("host-unresponsive", "reboot", dry_run=True)

    assert handed == (
        "exec --host i-1 --transport ssh --env test --because a test -- systemctl restart amazon-ssm-agent.service"
    )
    assert " ".join(typed) == "host reboot i-1 --env test --dry-run --yes --because a test"


def test_a_command_that_fails_is_said_with_its_words(world: FakeWorld) -> None:
    del hung_worker(world).does[command_of(runbook("queue-stalled"), "restart-worker")]

    answered = Operator(world).runbook("queue-stalled", "restart-worker")

    assert answered.code == 5
    assert answered.why == ("restart the worker: systemctl restart rmu-worker.service: exit 127: systemctl: not found")


def test_a_step_that_never_ends_is_cut_off_and_its_remedy_taken_back(world: FakeWorld) -> None:
    def cut_off() -> str:
        raise Failed("“exec” was cut off on i-1: TimedOut", state="", next="")

    hung_worker(world).does[command_of(runbook("queue-stalled"), "restart-worker")] = cut_off

    answered = Operator(world).runbook("queue-stalled", "pause-restart-resume")

    assert answered.code == 5
    assert answered.why == "“exec” was cut off on i-1: TimedOut"
    assert world.queue is not None
    assert not world.queue.paused
    assert outcome(world) == "rolled_back"
    assert world.lease_is_free()


def test_a_region_that_does_not_answer_can_still_be_looked_at(world: FakeWorld) -> None:
    world.front_door_down = True
    for call in ("group.health", "metrics.data"):
        world.fail(call, Unreachable("autoscaling does not answer", next="rmu doctor"))

    answered = Operator(world).runbook("region-lost")

    assert answered.code == 0


def test_the_page_of_a_runbook_says_what_it_does(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    read = read_or_complain(tmp_path / "small.yaml")
    assert isinstance(read, Page)

    shown = textwrap.dedent("\n".join(terminal(read.runbook)))

    assert "- end the process: kill $pid" in shown
    assert "rmu runbook run small --remedy end" in page(read.runbook)
