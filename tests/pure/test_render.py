"""Templates and the host program's archive: strict, reproducible, and small enough for EC2."""

from __future__ import annotations

import ast
import base64
import gzip
import io
import json
import lzma
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import jinja2
import pytest

from ratemyunit_ops import render
from ratemyunit_ops.shipped import shipped

VALUES = {
    "env": "test",
    "region": "eu-central-1",
    "table": "rmu-test",
    "asg": "rmu-test-hosts",
    "hook": "rmu-test-boot",
    "repository": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/rmu-test/app",
    "project": "rmu",
    "trusted_hops": 1,
    "measure_every": 10,
}


def script() -> str:
    return render.first_boot(VALUES)


def test_user_data_fits_into_ec2s_limit_with_room_to_grow() -> None:
    assert len(render.user_data(VALUES)) < render.USER_DATA_LIMIT - 64


def test_user_data_unpacks_to_the_script_and_to_the_program_of_the_boot(tmp_path: Path) -> None:
    packed = re.search(rb'b64decode\("(.+)"\)', gzip.decompress(render.user_data(VALUES)))
    assert packed is not None
    parts = lzma.decompress(base64.b64decode(packed[1])).decode().split("\0")
    here = parts[0].replace("/usr/local/lib/rmu", str(tmp_path)).rpartition("os.execlp")[0]

    exec(here, {"parts": parts})

    assert (tmp_path / "first_boot.sh").read_text() == script()
    assert (tmp_path / "rmu_host.pyz").read_bytes() == render.host_program(boot_only=True)


def test_the_first_boot_is_bash_without_faults(tmp_path: Path) -> None:
    place = tmp_path / "first_boot.sh"
    place.write_text(script())

    shellcheck = Path(sys.executable).with_name("shellcheck")

    found = subprocess.run(
        [shellcheck, "--severity=style", "--exclude=SC2034", place], capture_output=True, text=True, check=False
    )

    assert found.stdout == ""


def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="region"):
        render.render("host/first_boot.sh", {"files": [], "packages": ""})


def test_the_same_sources_make_the_same_program_and_the_same_user_data() -> None:
    assert render.host_program() == render.host_program()
    assert render.user_data(VALUES) == render.user_data(VALUES)


def test_swap_comes_before_anything_is_installed() -> None:
    text = script()

    assert text.index("swapon /swapfile") < text.index("apt-get") < text.index("agent amazon-ssm-agent")


def test_a_host_serves_before_it_has_its_metrics_agent_and_without_it() -> None:
    text = script()

    assert text.index("systemctl restart rmu-boot.service") < text.index("agent amazon-cloudwatch-agent https")
    assert text.rstrip().splitlines()[-2] == '} || say "the metrics agent is missing"'


def test_what_another_program_may_hold_for_a_while_is_tried_again() -> None:
    commands = [line.strip() for line in script().splitlines()]

    for command in ("apt-get -q update", "apt-get -qy", "dpkg -i"):
        assert [line for line in commands if line.startswith(f"again {command}")], command


@pytest.mark.parametrize("verb", ["survey", "data_salvage"])
def test_what_ssm_carries_is_a_program_that_runs(tmp_path: Path, verb: str) -> None:
    place = tmp_path / "rmu_host.pyz"
    place.write_bytes(gzip.decompress(base64.b64decode(render.host_program_text(verb))))

    said = subprocess.run([sys.executable, "-I", place, "nonsense"], capture_output=True, text=True, check=False)

    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.startswith("usage:")


def test_the_boots_program_lacks_what_only_requests_need() -> None:
    def names(program: bytes) -> set[str]:
        return set(zipfile.ZipFile(io.BytesIO(program)).namelist())

    missing = names(render.host_program()) - names(render.host_program(boot_only=True))

    modules = ("request", "serve", "releases", "oneoff", "roles", "survey", "probe", "hold", "proxy")
    assert missing >= {"rmu_host/haproxy.cfg", "rmu_host/hold.lua", *(f"rmu_host/{name}.py" for name in modules)}


def test_the_boots_program_starts_without_them(tmp_path: Path) -> None:
    place = tmp_path / "rmu_host.pyz"
    place.write_bytes(render.host_program(boot_only=True))

    said = subprocess.run([sys.executable, "-I", place, "nonsense"], capture_output=True, text=True, check=False)

    assert said.stderr.startswith("usage:")


def test_what_is_carried_means_what_was_written() -> None:
    carried = zipfile.ZipFile(io.BytesIO(render.host_program()))

    for file in sorted((shipped("templates") / "host" / "rmu_host").glob("*.py")):
        written = [n.value for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Constant)]
        strings = [
            n.value for n in ast.walk(ast.parse(carried.read(f"rmu_host/{file.name}"))) if isinstance(n, ast.Constant)
        ]
        # Docstrings are left behind; every other string, of SQL or of a unit, is there to the last space.
        assert not set(map(repr, strings)) - set(map(repr, written)), file.name


def test_host_settings_and_registry_login_are_files_of_the_user_data() -> None:
    text = script()

    assert '"hook": "rmu-test-boot"' in text
    helpers = {"credHelpers": {"123456789012.dkr.ecr.eu-central-1.amazonaws.com": "ecr-login"}}
    assert json.dumps(helpers) in text


def test_podman_keeps_in_memory_what_it_knows_of_containers_and_clears_up_after_a_crash() -> None:
    text = script()

    put = text.partition("put /etc/containers/storage.conf <<'RMU-END'")[2].partition("\n")[2]
    stored = tomllib.loads(put.partition("RMU-END")[0])["storage"]
    assert stored["transient_store"] is True
    assert stored["runroot"].startswith("/run/") and stored["graphroot"].startswith("/var/")
    assert [line for line in text.splitlines() if "enable" in line and "podman-clean-transient.service" in line]


def test_f02_the_proxys_configuration_is_rendered_whole_and_never_edited() -> None:
    text = script()

    assert "sed -i" not in text
    assert "put /etc/haproxy/haproxy.cfg <<" in text


def test_f11_timers_grow_from_the_balancer_inwards() -> None:
    config = render.render("host/files/haproxy.cfg", {"trusted_hops": 1})

    for line in ("timeout client 75s", "timeout http-keep-alive 75s", "retries 0", "pool-purge-delay 5s"):
        assert line in config


def test_f07_backends_are_fixed_loopback_ports_not_names_that_could_move() -> None:
    config = render.render("host/files/haproxy.cfg", {"trusted_hops": 1})

    servers = [line.split() for line in config.splitlines() if line.strip().startswith("server ")]
    assert {s[2] for s in servers} == {"127.0.0.1:3001", "127.0.0.1:3002"}


def test_f39_no_health_path_of_the_proxy_asks_the_database() -> None:
    config = render.render("host/files/haproxy.cfg", {"trusted_hops": 1})

    health = [line for line in config.splitlines() if "httpchk" in line or "monitor-uri" in line]
    assert [line.split()[-1] for line in health] == ["/livez", "/rmu-health"]


def test_program_request_and_document_stay_far_below_what_ssm_takes_in_one_command() -> None:
    # 64 KB, for the document and the values of its parameters together. A request with a large config has some 8 KB;
    # a salvage carries more program, and no config.
    document = (shipped("terraform") / "modules/access/scripts/host.sh").read_text()

    assert len(render.host_program_text("prepare")) + len(document) + 8 * 1024 < 54 * 1024
    assert len(render.host_program_text("data_salvage")) + len(document) + 1024 < 58 * 1024


@pytest.mark.parametrize("verb", ["data_fence", "data_salvage"])
def test_a_program_has_what_its_verb_imports(tmp_path: Path, verb: str) -> None:
    place = tmp_path / "rmu_host.pyz"
    place.write_bytes(gzip.decompress(base64.b64decode(render.host_program_text(verb))))
    script = f"import sys; sys.path.insert(0, {str(place)!r}); import rmu_host.request"
    also = "; import rmu_host.salvage, rmu_host.salvage_apply" if verb == "data_salvage" else ""

    said = subprocess.run([sys.executable, "-I", "-c", script + also], capture_output=True, text=True, check=False)

    assert (said.returncode, said.stderr) == (0, "")
