"""What an image is keyed by, and how a kept one is found again. No podman runs here."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from ratemyunit_ops.errors import Mistyped, Refused
from ratemyunit_ops.outside import podman
from ratemyunit_ops.outside.podman import Podman, Target, find, index_settings, tree_key

BASE = "localhost/base:1"
REVISION = 'import sqlalchemy\n\nrevision = "{}"\nphase = "{}"\noldest_code = "0001"\nraise SystemExit("it ran")\n'


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """Lay out an app of the fewest files."""
    made = tmp_path / "app"
    for name, body in {
        "Containerfile": "FROM x\n",
        "requirements.txt": "fastapi==1\n",
        "ratemyunit/api.py": "a = 1\n",
        "ratemyunit/schema.toml": 'head = "0002"\noldest = "0001"\nadmits = "0001"\n',
        "ratemyunit/migrations/versions/0001_first.py": REVISION.format("0001", "expand"),
        "ratemyunit/migrations/versions/0002_second.py": REVISION.format("0002", "contract"),
    }.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(body)
    return made


def keep(cache: Path, key: str, *, head: str = "0002", layer: bytes = b"layer") -> str:
    """Keep an image in an OCI layout as podman does; answer its digest."""
    config = {"config": {"Labels": {"rmu.schema.head": head, "rmu.schema.oldest": "0001", "rmu.schema.admits": "0001"}}}
    parts = [_blob(cache, json.dumps(config).encode()), _blob(cache, layer)]
    manifest = {"config": parts[0], "layers": parts[1:]}
    entry = _blob(cache, json.dumps(manifest).encode())
    entry["annotations"] = {"org.opencontainers.image.ref.name": key}
    (cache / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    return str(entry["digest"])


def _blob(cache: Path, body: bytes) -> dict[str, object]:
    name = hashlib.sha256(body).hexdigest()
    (cache / "blobs/sha256").mkdir(parents=True, exist_ok=True)
    (cache / "blobs/sha256" / name).write_bytes(body)
    return {"digest": f"sha256:{name}", "size": len(body)}


def test_the_same_tree_has_the_same_key_wherever_it_lies(app: Path, tmp_path: Path) -> None:
    other = shutil.copytree(app, tmp_path / "elsewhere")

    assert tree_key(app, BASE) == tree_key(other, BASE)


@pytest.mark.parametrize("name", ["Containerfile", "requirements.txt", "ratemyunit/api.py", "ratemyunit/schema.toml"])
def test_every_file_of_the_image_counts(app: Path, name: str) -> None:
    before = tree_key(app, BASE)

    (app / name).write_text("changed\n")

    assert tree_key(app, BASE) != before


def test_a_new_name_or_a_program_bit_or_another_base_is_another_key(app: Path) -> None:
    keys = {tree_key(app, BASE), tree_key(app, "localhost/base:2")}
    (app / "ratemyunit/api.py").rename(app / "ratemyunit/web.py")
    keys.add(tree_key(app, BASE))
    (app / "ratemyunit/web.py").chmod(0o755)
    keys.add(tree_key(app, BASE))

    assert len(keys) == 4


def test_bytes_that_move_from_one_file_to_the_next_change_the_key(app: Path) -> None:
    (app / "a").write_text("12")
    (app / "b").write_text("3")
    before = tree_key(app, BASE)

    (app / "a").write_text("1")
    (app / "b").write_text("23")

    assert tree_key(app, BASE) != before


@pytest.mark.parametrize("name", ["tests/test_x.py", "README.md", ".venv/x.py", "ratemyunit/__pycache__/api.pyc"])
def test_what_never_reaches_the_image_does_not_count(app: Path, name: str) -> None:
    before = tree_key(app, BASE)

    (app / name).parent.mkdir(parents=True, exist_ok=True)
    (app / name).write_text("anything\n")

    assert tree_key(app, BASE) == before


def test_a_kept_image_is_found_with_what_its_labels_say(tmp_path: Path) -> None:
    digest = keep(tmp_path, "key-1")

    image = find(tmp_path, "key-1")

    assert image is not None
    assert (image.digest, image.schema_head, image.schema_oldest, image.built) == (digest, "0002", "0001", False)
    assert find(tmp_path, "key-2") is None
    assert find(tmp_path / "nowhere", "key-1") is None


@pytest.mark.parametrize("left", [None, b"lay"], ids=["gone", "cut off"])
def test_a_kept_image_that_lost_a_layer_counts_as_not_there(tmp_path: Path, left: bytes | None) -> None:
    keep(tmp_path, "key-1", layer=b"layer")
    layer = tmp_path / "blobs/sha256" / hashlib.sha256(b"layer").hexdigest()
    layer.unlink()
    if left is not None:
        layer.write_bytes(left)

    assert find(tmp_path, "key-1") is None


def test_a_known_key_is_answered_without_any_program(
    app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    digest = keep(cache, tree_key(app, BASE))
    monkeypatch.setenv("PATH", "")  # the adapter looks programs up there; none may be needed

    image = Podman(base=BASE, cache=cache, target=_no_target).build(app, on_line=_fail)

    assert (image.digest, image.built) == (digest, False)


def test_a_missing_program_is_refused_with_the_command_that_mends_it(
    app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(Refused) as why:
        Podman(base=None, cache=tmp_path / "cache", target=_no_target).build(app, on_line=_fail)

    assert why.value.next == "apt-get install podman skopeo mmdebstrap"


def test_a_folder_that_is_no_app_is_named(tmp_path: Path) -> None:
    with pytest.raises(Mistyped, match="has no Containerfile"):
        Podman(base=BASE, cache=tmp_path, target=_no_target).build(tmp_path, on_line=_fail)


@pytest.mark.parametrize("body", ["head = ", 'head = "0001"'], ids=["no TOML", "no oldest"])
def test_a_broken_schema_file_is_named(app: Path, tmp_path: Path, body: str) -> None:
    (app / "ratemyunit/schema.toml").write_text(body)

    with pytest.raises(Mistyped, match=r"schema\.toml must name head, oldest and admits"):
        Podman(base=BASE, cache=tmp_path, target=_no_target).build(app, on_line=_fail)


def test_a_failed_build_says_why_in_the_programs_own_last_lines(
    app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("podman", "skopeo"):
        (programs / name).write_text("#!/bin/sh\necho STEP 1\necho no space left on device >&2\nexit 125\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    seen: list[str] = []

    with pytest.raises(Refused, match="no space left on device") as why:
        Podman(base=BASE, cache=tmp_path / "cache", target=_no_target).build(app, on_line=seen.append)

    assert seen == ["STEP 1", "no space left on device"]
    assert why.value.state == podman.NO_IMAGE


def test_only_the_urls_of_pips_settings_are_handed_into_a_build() -> None:
    listed = (
        ":env:.cert='/etc/ssl/certs/ca.crt'\n"
        "global.index-url='https://user:secret@packages.example/simple'\n"
        "global.extra-index-url='file:///opt/simple https://more.example/simple'\n"
        "global.find-links='/opt/wheels'\n"
        "global.trusted-host='packages.example'\n"
    )

    assert index_settings(listed) == (
        "[global]\n"
        "index-url = https://user:secret@packages.example/simple\n"
        "extra-index-url = https://more.example/simple\n"
        "trusted-host = packages.example\n"
    )
    assert index_settings("") == "[global]\n"


def test_a_plain_registry_is_used_as_such_and_a_password_goes_into_the_login_only() -> None:
    local = Target("http://127.0.0.1:4582", "rmu-twin/app")
    cloud = Target("https://1.dkr.ecr.r.amazonaws.com", "rmu-production/app", "AWS", "secret")

    assert (local.plain, local.reference("v1"), local.login) == (
        True,
        "docker://127.0.0.1:4582/rmu-twin/app:v1",
        {"auths": {}},
    )
    assert not cloud.plain
    assert "secret" not in cloud.reference("v1")
    assert cloud.login == {"auths": {"1.dkr.ecr.r.amazonaws.com": {"auth": "QVdTOnNlY3JldA=="}}}


def _no_target() -> Target:
    raise AssertionError("a build must not ask for the registry")


def _fail(line: str) -> None:
    raise AssertionError(f"nothing should run, but it said: {line}")


def test_a_build_is_told_every_revision_and_runs_none_of_them(app: Path) -> None:
    assert podman._schema(app) == {
        "SCHEMA_HEAD": "0002",
        "SCHEMA_OLDEST": "0001",
        "SCHEMA_ADMITS": "0001",
        "SCHEMA_REVISIONS": "0001:expand:0001,0002:contract:0001",
    }


def test_a_revision_without_its_phase_is_named(app: Path) -> None:
    (app / "ratemyunit/migrations/versions/0003_third.py").write_text('revision = "0003"\noldest_code = "0001"\n')

    with pytest.raises(Mistyped, match=r"0003_third\.py must name revision, phase and oldest_code .*'phase'"):
        podman._schema(app)


def test_the_products_own_revisions_are_read() -> None:
    labels = podman._schema(Path(__file__).parents[2] / "app")

    assert labels["SCHEMA_REVISIONS"].startswith("0001:expand:0001,0002:expand:0001")
