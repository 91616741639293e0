"""The product image, really built, pushed to a real registry, pulled by digest and run as a host runs it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ratemyunit_ops.errors import Unreachable
from ratemyunit_ops.outside.podman import Podman, Target, index_settings
from ratemyunit_ops.ports import BuiltImage
from tests.processes import free_port
from tests.twin.layers import layers, secrets

pytestmark = pytest.mark.twin

APP = Path(__file__).resolve().parents[2] / "app"
CACHE = Path.home() / ".cache/rmu/images"
REPOSITORY = "rmu-test/app"
AS_ON_A_HOST = ["--network=host", "--read-only", "--tmpfs=/tmp:rw,size=256m,mode=1777", "--user=10001"]
AS_ON_A_HOST += ["--cap-drop=all", "--security-opt=no-new-privileges", "--ulimit=nofile=4096:4096"]
AS_ON_A_HOST += ["--ulimit=nproc=4096:4096"]


@dataclass(frozen=True)
class Pushed:
    """The image in the registry, and how to name it there."""

    image: BuiltImage
    endpoint: str

    @property
    def reference(self) -> str:
        return f"{self.endpoint.removeprefix('http://')}/{REPOSITORY}@{self.image.digest}"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run an empty registry; answer its URL."""
    folder, port = tmp_path_factory.mktemp("registry"), free_port()
    (folder / "config.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n"
    )
    log = (folder / "log").open("w")
    process = subprocess.Popen(["docker-registry", "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    try:
        answer(f"http://127.0.0.1:{port}/v2/")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def pushed(registry: str) -> Iterator[Pushed]:
    """Build the checked-out app, push it and pull it by digest."""
    builder = builder_for(registry)
    image = builder.build(APP, on_line=print)
    digest = builder.push(image, version="v1", on_line=print)
    assert digest == image.digest
    made = Pushed(image, registry)
    run("podman", "pull", "--quiet", "--tls-verify=false", made.reference)
    yield made
    # Without --force only this name goes: the layers are the next build's cache.
    run("podman", "rmi", made.reference)


def test_a_version_pushed_is_the_built_digest_and_two_versions_of_a_tree_share_it(pushed: Pushed) -> None:
    builder = builder_for(pushed.endpoint)

    again = builder.build(APP, on_line=print)
    digest = builder.push(again, version="v2", on_line=print)

    assert not again.built
    assert digest == pushed.image.digest == header(f"{pushed.endpoint}/v2/{REPOSITORY}/manifests/v2")


def test_a_change_of_the_code_moves_less_than_a_megabyte(pushed: Pushed, tmp_path: Path) -> None:
    other = shutil.copytree(APP, tmp_path / "app", ignore=shutil.ignore_patterns(".venv", "__pycache__", "tests"))
    code = other / "ratemyunit/units.py"
    code.write_text(code.read_text() + "# one more line\n")

    image = builder_for(pushed.endpoint).build(other, on_line=print)

    assert image.digest != pushed.image.digest
    new = blobs(image.digest) - blobs(pushed.image.digest)
    assert 0 < sum(size for _, size in new) < 2**20


def test_the_labels_say_what_the_tree_says(pushed: Pushed) -> None:
    labels = json.loads(run("podman", "inspect", "--format={{json .Config.Labels}}", pushed.reference))

    assert labels["org.opencontainers.image.revision"] == pushed.image.key
    head = run("podman", "run", "--rm", *AS_ON_A_HOST, pushed.reference, "migrate", "--head")
    assert json.loads(head) == {"head": labels["rmu.schema.head"]}


def test_the_image_is_small_and_holds_no_compiler_no_pip_and_no_secret(pushed: Pushed) -> None:
    size = int(run("podman", "inspect", "--format={{.Size}}", pushed.reference))
    history = run("podman", "history", "--no-trunc", "--format={{.CreatedBy}}", pushed.reference)
    looks = "for p in gcc cc g++ make pip pip3; do command -v $p; done; ls -A /run/secrets 2>/dev/null; true"

    found = run("podman", "run", "--rm", *AS_ON_A_HOST, "--entrypoint=sh", pushed.reference, "-c", looks)

    assert found == ""
    assert size <= 1_000_000_000
    assert "index-url" not in history
    assert secrets(layers(CACHE, pushed.image.digest), of_this_machine()) == []


def test_the_image_names_a_user_who_is_not_root_and_runs_as_it_where_nobody_asks_for_one(pushed: Pushed) -> None:
    named = run("podman", "inspect", "--format={{.Config.User}}", pushed.reference)
    unasked = [word for word in AS_ON_A_HOST if not word.startswith("--user")]

    ids = run("podman", "run", "--rm", *unasked, "--entrypoint=sh", pushed.reference, "-c", "id -u; id -g")

    assert named.strip() == "10001:10001"
    assert ids.split() == ["10001", "10001"]


def test_the_api_starts_at_once_answers_honestly_and_stops_clean(pushed: Pushed) -> None:
    named = {"RELEASE_VERSION": "v9", "RELEASE_DIGEST": pushed.image.digest, "HOST_ID": "i-9", "DATABASE_ID": "db-9"}
    began = time.monotonic()
    with container(pushed, "api", **named) as api:
        assert answer(f"{api.url}/livez")[0] == 200
        # Not a benchmark: a start that recompiles its bytecode, or loads a browser, takes many times this.
        assert time.monotonic() - began < 8
        status, body = answer(f"{api.url}/readyz")
        version = json.loads(answer(f"{api.url}/version")[1])

        run("podman", "stop", "--time=45", api.name)

        code = run("podman", "inspect", "--format={{.State.ExitCode}}", api.name)
        logged = run("podman", "logs", api.name).splitlines()

    assert status == 503
    checks = json.loads(body)["checks"]
    assert "cannot be asked" in checks["database"]
    assert "cannot be asked" in checks["redis"]
    assert version == {
        "version": "v9",
        "digest": pushed.image.digest,
        "host": "i-9",
        "database": "db-9",
        "schema_head": pushed.image.schema_head,
    }
    assert code.strip() == "0"
    assert json.loads(logged[-1])["message"] == "stopped"


def test_the_browser_in_the_image_reads_a_catalogue_that_a_script_draws(pushed: Pushed) -> None:
    read = """
import asyncio, sys
from urllib.parse import urlsplit
from uuid import uuid4
from ratemyunit.scraper import adapters
from ratemyunit.scraper.addresses import Guard
from ratemyunit.scraper.browsers import Pool
from ratemyunit.scraper.fetch import Fetcher
from ratemyunit.scraper.port import Job
async def main():
    url = sys.argv[1]
    guard = Guard({urlsplit(url).hostname}, url)
    async with Pool("/usr/bin/chromium-headless-shell") as browsers:
        means = adapters.Means(Fetcher(guard), browsers, guard, 30.0)
        found = await adapters.named("html").read(Job(uuid4(), url, "U", 1), means)
        for unit in found.units:
            print(unit.code)
        print(browsers.open_pages)
asyncio.run(main())
"""
    with container(pushed, "api", FIXTURE_CATALOGUE="1") as api:
        answer(f"{api.url}/livez")
        python = ["--entrypoint=/opt/venv/bin/python", pushed.reference, "-c", read, f"{api.url}/fixture/catalogue"]

        shown = run("podman", "run", "--rm", *AS_ON_A_HOST, *python).split()

    assert shown == ["COMP1010", "COMP2100", "COMP3300", "MATH1007", "STAT1170", "PHYS1210", "0"]


def test_a_registry_that_does_not_answer_is_unreachable(pushed: Pushed) -> None:
    nobody = builder_for(f"http://127.0.0.1:{free_port()}")

    with pytest.raises(Unreachable, match="pushing v1 failed"):
        nobody.push(pushed.image, version="v1", on_line=print)


def test_the_containerfile_passes_hadolint() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")  # comes with the development requirements

    found = subprocess.run([hadolint, APP / "Containerfile"], capture_output=True, text=True, check=False)

    assert (found.returncode, found.stdout) == (0, "")


@dataclass(frozen=True)
class Running:
    """A container that listens on loopback."""

    name: str
    url: str


@contextmanager
def container(pushed: Pushed, role: str, **environment: str) -> Iterator[Running]:
    """Run a role as a host runs it, with a database and a Redis that are not there."""
    port = free_port()
    name = f"rmu-test-{port}"
    env = {"HTTP_PORT": str(port), "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0", **environment}
    env["DATABASE_URL"] = f"postgresql://rmu_app@127.0.0.1:{free_port()}/none"
    settings = [f"--env={key}={value}" for key, value in env.items()]
    run("podman", "run", "--detach", f"--name={name}", *AS_ON_A_HOST, *settings, pushed.reference, role)
    try:
        yield Running(name, f"http://127.0.0.1:{port}")
    finally:
        run("podman", "rm", "--force", "--time=0", name)


def builder_for(endpoint: str) -> Podman:
    """Make a builder that pushes to this registry and shares the machine's cache."""
    return Podman(base=None, cache=CACHE, target=lambda: Target(endpoint, REPOSITORY))


def blobs(digest: str) -> set[tuple[Path, int]]:
    """List a kept image's layers with how much of each moves."""
    return {(layer.blob, layer.compressed) for layer in layers(CACHE, digest)}


def of_this_machine() -> list[bytes]:
    """List what a build is lent that is not everybody's: certificates of this machine's own, and package indices."""
    own = [path.read_text() for path in Path("/usr/local/share/ca-certificates").glob("**/*.crt")]
    certificates = ["".join(text.splitlines(keepends=True)[1:3]) for text in own]
    settings = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    indices = [word for word in index_settings(settings.stdout).split() if "://" in word and "//pypi.org/" not in word]
    return [value.encode() for value in (*certificates, *indices)]


def header(url: str) -> str:
    """Ask a registry for a manifest's digest."""
    asked = urllib.request.Request(url, headers={"Accept": "application/vnd.oci.image.manifest.v1+json"})
    with urllib.request.urlopen(asked, timeout=10) as got:
        return str(got.headers["Docker-Content-Digest"])


def answer(url: str, within: float = 20) -> tuple[int, str]:
    """Ask until something listens; answer the status and the body, whatever the status."""
    until = time.monotonic() + within
    while True:
        try:
            with urllib.request.urlopen(url, timeout=15) as got:
                return got.status, got.read().decode()
        except urllib.error.HTTPError as got:
            return got.code, got.read().decode()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def run(*argv: str) -> str:
    """Run a program that must succeed; answer what it printed."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{argv[:2]}: {done.stderr}"
    return done.stdout
