"""Building the product image on this machine and pushing it: podman makes it, skopeo carries it.

A built image is kept in an OCI layout (a folder of blobs) under the key of what it was made of. Its digest is the one
that the registry will know it by, since skopeo copies the manifest byte for byte: a known key answers the known digest
without building, and nothing is compressed twice.
"""

from __future__ import annotations

import ast
import base64
import fcntl
import hashlib
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ratemyunit_ops.errors import Mistyped, Refused, Unreachable
from ratemyunit_ops.ports import BuiltImage

OnLine = Callable[[str], None]

# What never reaches the image, so it is no part of the key either.
NOT_IN_THE_IMAGE = frozenset({"tests", "__pycache__", "README.md", "requirements-test.txt", "pyproject.toml"})
OWN_BASE = "localhost/rmu-debian"
SUITE = "trixie"
SYSTEM_CA = Path("/etc/ssl/certs/ca-certificates.crt")
NO_IMAGE = "No image was made; nothing was changed."
BUILD_DEADLINE = 30 * 60.0
PUSH_DEADLINE = 15 * 60.0
LAST_LINES = 15


@dataclass(frozen=True)
class Target:
    """Where pushes go: the registry's URL, the repository in it, and a fresh password (None: it asks for none)."""

    endpoint: str
    repository: str
    user: str = ""
    password: str | None = None

    def reference(self, version: str) -> str:
        """Name a version in the registry, as skopeo writes it."""
        return f"docker://{self._host}/{self.repository}:{version}"

    @property
    def plain(self) -> bool:
        """Tell whether the registry speaks plain HTTP; only a local one does."""
        return self.endpoint.startswith("http://")

    @property
    def login(self) -> dict[str, Any]:
        """Write the password as skopeo's auth file has it."""
        word = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"auths": {self._host: {"auth": word}}} if self.password is not None else {"auths": {}}

    @property
    def _host(self) -> str:
        return self.endpoint.split("://", 1)[-1].rstrip("/")


class Podman:
    """The Builder of ports.py. `target` is asked only by a push, since it may need the cloud."""

    def __init__(self, *, base: str | None, cache: Path, target: Callable[[], Target]) -> None:
        self._base = base
        self._cache = cache
        self._target = target

    def build(self, app: Path, *, on_line: OnLine) -> BuiltImage:
        """Build the tree, or find the image that its key already has.

        Raises:
            Mistyped: `app` is no app.
            Refused: a program is missing, or the build failed; the last lines of its output say why.
        """
        schema = _schema(app)
        key = tree_key(app, self._base or _own_base())
        known = find(self._cache, key)
        if known is not None:
            return known
        _need("podman", "skopeo", *(() if self._base else ("mmdebstrap",)))
        self._cache.mkdir(parents=True, exist_ok=True)
        with _turn(self._cache, on_line):
            known = find(self._cache, key)
            if known is not None:
                return known
            base = self._base or _make_own_base(on_line)
            _build(app, base, key, schema, on_line)
            # The layers are compressed here, once; pushes copy them as they are.
            kept = f"oci:{self._cache}:{key}"
            _run(["podman", "push", "--format=oci", _local(key), kept], on_line, BUILD_DEADLINE, "keeping the image")
        made = find(self._cache, key)
        if made is None:
            raise Refused("podman kept no image where it said it would", state=NO_IMAGE, next="rmu image build VERSION")
        return made.model_copy(update={"built": True})

    def push(self, image: BuiltImage, *, version: str, on_line: OnLine) -> str:
        """Push under the version's tag; answer the digest read back from the registry.

        Raises:
            Refused: skopeo is missing, or the registry holds another digest afterwards.
            Unreachable: the registry did not take it.
        """
        _need("skopeo")
        target = self._target()
        with tempfile.TemporaryDirectory(prefix="rmu-push-") as folder:
            login = Path(folder) / "auth.json"
            login.touch(mode=0o600)
            login.write_text(json.dumps(target.login))
            copy = ["skopeo", "copy", "--preserve-digests", f"--dest-tls-verify={_word(not target.plain)}"]
            copy += ["--dest-authfile", str(login), f"oci:{self._cache}:{image.key}", target.reference(version)]
            _run(copy, on_line, PUSH_DEADLINE, f"pushing {version}", error=Unreachable)
            look = ["skopeo", "inspect", "--format={{.Digest}}", f"--tls-verify={_word(not target.plain)}"]
            look += ["--authfile", str(login), target.reference(version)]
            there = _run(look, _silent, 60, "reading the pushed image back", error=Unreachable)[-1]
        if there != image.digest:
            raise Refused(
                f"the registry names {version} {there}, not {image.digest}",
                state="The image was pushed; no release was made of it.",
                next=f"rmu image push {version}",
            )
        return there


def tree_key(app: Path, base: str) -> str:
    """Name what an image is made of: every file that can reach it, which of them are programs, and the base."""
    sum_ = hashlib.sha256(base.encode())
    for path in sorted(_files(app)):
        name = path.relative_to(app).as_posix()
        body = path.read_bytes()
        sum_.update(f"\0{name}\0{path.stat().st_mode & 0o100:o}\0{len(body)}\0".encode())
        sum_.update(body)
    return sum_.hexdigest()[:32]


def find(cache: Path, key: str) -> BuiltImage | None:
    """Find a kept image by its key; one that lacks a blob counts as not there."""
    index = cache / "index.json"
    if not index.is_file():
        return None
    entries = json.loads(index.read_text())["manifests"]
    named = [m for m in entries if m.get("annotations", {}).get("org.opencontainers.image.ref.name") == key]
    if not named or not _blob(cache, named[-1]["digest"]).is_file():
        return None
    digest = named[-1]["digest"]
    manifest = json.loads(_blob(cache, digest).read_text())
    parts = [manifest["config"], *manifest["layers"]]
    if any(_size(_blob(cache, part["digest"])) != part["size"] for part in parts):
        return None
    labels = json.loads(_blob(cache, manifest["config"]["digest"]).read_text())["config"]["Labels"]
    return BuiltImage(
        digest=digest,
        size=sum(part["size"] for part in parts),
        schema_head=labels["rmu.schema.head"],
        schema_oldest=labels["rmu.schema.oldest"],
        schema_admits=labels["rmu.schema.admits"],
        key=key,
        built=False,
    )


def index_settings(listed: str) -> str:
    """Turn `pip config list` into a pip.conf that names the same package indices, for use inside a build.

    Paths of this machine mean nothing in there, so only URLs are handed in.
    """
    wanted: dict[str, list[str]] = {"index-url": [], "extra-index-url": [], "trusted-host": []}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        option = name.rpartition(".")[2]
        if option not in wanted or not value:
            continue
        words = str(ast.literal_eval(value)).split()
        wanted[option] += [w for w in words if option == "trusted-host" or w.startswith(("http://", "https://"))]
    lines = [f"{option} = {' '.join(words)}" for option, words in wanted.items() if words]
    return "\n".join(["[global]", *lines]) + "\n"


def _files(app: Path) -> Iterator[Path]:
    for path in app.iterdir():
        if path.name in NOT_IN_THE_IMAGE or path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _files(path)
        elif path.suffix != ".pyc":
            yield path


def _schema(app: Path) -> dict[str, str]:
    """Read what the image's labels tell of its schema, as arguments of its build."""
    for needed in ("Containerfile", "ratemyunit/schema.toml"):
        if not (app / needed).is_file():
            raise Mistyped(f"{app} is no app to build: it has no {needed}", next="cd into the checkout and try again")
    try:
        found = tomllib.loads((app / "ratemyunit/schema.toml").read_text())
        named = {f"SCHEMA_{name.upper()}": str(found[name]) for name in ("head", "oldest", "admits")}
    except (tomllib.TOMLDecodeError, KeyError) as why:
        raise Mistyped(
            f"{app}/ratemyunit/schema.toml must name head, oldest and admits ({why})",
            next="git diff app/ratemyunit/schema.toml",
        ) from why
    return {**named, "SCHEMA_REVISIONS": _revisions(app)}


def newest_revision(app: Path) -> str:
    """Name the newest revision that a tree has. Raises Mistyped for one that says not what it is."""
    return _revisions(app).rpartition(",")[2].partition(":")[0]


def _revisions(app: Path) -> str:
    """List the tree's revisions as REVISION:PHASE:OLDEST_CODE, oldest first. Read as text: no code of theirs runs."""
    listed = []
    for path in sorted((app / "ratemyunit/migrations/versions").glob("*.py")):
        names = _constants(path)
        try:
            listed.append(":".join(names[name] for name in ("revision", "phase", "oldest_code")))
        except KeyError as why:
            raise Mistyped(
                f"{path} must name revision, phase and oldest_code as plain text ({why} is missing)",
                next=f"git diff {path}",
            ) from why
    return ",".join(sorted(listed))


def _constants(path: Path) -> dict[str, str]:
    """Read the module's names that are plain text."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as why:  # the latter for null bytes, before Python 3.12
        at, said = (why.lineno, why.msg) if isinstance(why, SyntaxError) else (None, str(why))
        place = f"{path}, line {at}" if at else str(path)
        raise Mistyped(f"{place}: this revision is not Python: {said}", next=f"git diff {path}") from why
    nodes = [n for n in tree.body if isinstance(n, ast.Assign)]
    texts = [(n.targets[0], n.value.value) for n in nodes if isinstance(n.value, ast.Constant)]
    return {t.id: v for t, v in texts if isinstance(t, ast.Name) and isinstance(v, str)}


def _build(app: Path, base: str, key: str, schema: Mapping[str, str], on_line: OnLine) -> None:
    with tempfile.TemporaryDirectory(prefix="rmu-build-") as folder:
        pip = Path(folder) / "pip.conf"
        pip.touch(mode=0o600)  # an index URL may carry a password
        pip.write_text(index_settings(_pip_config()))
        secrets = [f"--secret=id=pip,src={pip}"]
        secrets += [f"--secret=id=ca,src={SYSTEM_CA}"] if SYSTEM_CA.is_file() else []
        arguments = {"BASE": base, "TREE_KEY": key, **schema}
        argv = ["podman", "build", "--format=oci", "--network=host", "--timestamp=0", *_limits(), *secrets]
        argv += [f"--build-arg={name}={value}" for name, value in arguments.items()]
        argv += ["--tag", _local(key), "--file", str(app / "Containerfile"), str(app)]
        _run(argv, on_line, BUILD_DEADLINE, "building the image")


def _limits() -> list[str]:
    # The runtime may not raise a limit above this process's own hard one, and podman's defaults would.
    kinds = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    hard = {name: resource.getrlimit(kind)[1] for name, kind in kinds.items()}
    most = {name: 32768 if limit == resource.RLIM_INFINITY else min(limit, 32768) for name, limit in hard.items()}
    return [f"--ulimit={name}={limit}:{limit}" for name, limit in most.items()]


def _pip_config() -> str:
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False, timeout=60
    )
    return listed.stdout


def _own_base() -> str:
    return f"{OWN_BASE}:{SUITE}-2"


def _make_own_base(on_line: OnLine) -> str:
    """Make the base from Debian's packages, where no registry can be pulled from."""
    name = _own_base()
    if subprocess.run(["podman", "image", "exists", name], check=False).returncode == 0:
        return name
    with tempfile.TemporaryDirectory(prefix="rmu-base-") as folder:
        # One date for every file and for the image: the same packages make the same bytes, so the same digest.
        argv = ["env", "SOURCE_DATE_EPOCH=0", "mmdebstrap", "--variant=minbase", "--include=ca-certificates"]
        argv += ["--format=tar", SUITE, f"{folder}/base.tar"]
        _run(argv, on_line, BUILD_DEADLINE, f"making the Debian {SUITE} base")
        (Path(folder) / "Containerfile").write_text('FROM scratch\nADD base.tar /\nCMD ["/bin/bash"]\n')
        argv = ["podman", "build", "--format=oci", "--timestamp=0", "--tag", name, folder]
        _run(argv, on_line, BUILD_DEADLINE, "keeping the base")
    return name


def _local(key: str) -> str:
    return f"localhost/rmu-app:{key}"


def _need(*programs: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise Refused(
            f"this machine has no {' and no '.join(missing)}",
            state=NO_IMAGE,
            next=f"apt-get install {' '.join(missing)}",
        )


@contextmanager
def _turn(cache: Path, on_line: OnLine) -> Iterator[None]:
    with (cache / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_line("another build runs on this machine; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(
    argv: Sequence[str], on_line: OnLine, deadline: float, doing: str, *, error: type[Refused] = Refused
) -> list[str]:
    """Run a program, hand its lines on as they come; answer the last ones."""
    last: list[str] = []
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        timer = threading.Timer(deadline, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            for line in filter(None, map(str.rstrip, process.stdout)):
                last = [*last, line][-LAST_LINES:]
                on_line(line)
            code = process.wait()
        except BaseException:
            process.kill()
            raise
        finally:
            timer.cancel()
    if code != 0:
        why = "\n".join(last) or f"{argv[0]} ended with {code} and said nothing"
        raise error(f"{doing} failed:\n{why}", state=NO_IMAGE, next=f"rmu doctor; then try {doing} again")
    return last or [""]


def _blob(cache: Path, digest: str) -> Path:
    return cache / "blobs" / digest.replace(":", "/", 1)


def _size(blob: Path) -> int:
    return blob.stat().st_size if blob.is_file() else -1


def _word(yes: bool) -> str:
    return "true" if yes else "false"


def _silent(_: str) -> None:
    return None
