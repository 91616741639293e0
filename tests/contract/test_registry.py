"""The registry: ECR's records on the emulator; labels over the registry's own HTTP interface, played on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from ratemyunit_ops.errors import Refused, Unreachable
from ratemyunit_ops.outside.aws.registry import EcrRegistry, login
from ratemyunit_ops.outside.aws.session import Account
from tests.contract.stand_in import StandIn, error

OCI = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "sha256:" + "c" * 64
LABELS = {
    "rmu.schema.head": "0007",
    "rmu.schema.oldest": "0005",
    "rmu.schema.admits": "0006",
    "rmu.schema.revisions": "0006:expand:0005,0007:contract:0006",
}


class Blobs(BaseHTTPRequestHandler):
    """A registry that, as ECR does, redirects blobs to a store which refuses a second authorization."""

    seen: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers["Authorization"]))
        if self.path.startswith("/v2/"):
            self.send_response(307)
            self.send_header("Location", f"http://{self.headers['Host']}/store")
            self.end_headers()
            return
        self.send_response(400 if self.headers["Authorization"] else 200)
        self.end_headers()
        self.wfile.write(json.dumps({"config": {"Labels": LABELS}}).encode())

    def log_message(self, *_: Any) -> None:
        """Stay silent."""


@pytest.fixture
def blobs() -> Iterator[str]:
    Blobs.seen.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Blobs)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def repository(account: Account, environment: str) -> str:
    name = f"rmu-{environment}/app"
    account.act("ecr", "CreateRepository", repositoryName=name, imageTagMutability="IMMUTABLE")
    return name


@pytest.fixture
def registry(account: Account, repository: str, blobs: str) -> EcrRegistry:
    return EcrRegistry(account, repository, endpoint=blobs)


def push(account: Account, repository: str, tag: str, **more: Any) -> str:
    layer = f"sha256:{tag.encode().hex():0<64}"
    manifest: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI, "layers": [{"digest": layer, "size": 9}]}
    manifest |= more or {"config": {"digest": CONFIG, "size": 3}}
    answer = account.act(
        "ecr",
        "PutImage",
        repositoryName=repository,
        imageManifest=json.dumps(manifest),
        imageManifestMediaType=OCI,
        imageTag=tag,
    )
    return str(answer["image"]["imageId"]["imageDigest"])


def scan(aws: StandIn, status: str, **counts: int) -> None:
    findings = {"imageScanStatus": {"status": status}, "imageScanFindings": {"findingSeverityCounts": counts}}
    aws.faults.instead["DescribeImageScanFindings"] = [(200, findings)]


def test_an_image_is_found_by_its_version_with_its_labels(
    registry: EcrRegistry, account: Account, repository: str
) -> None:
    digest = push(account, repository, "v1")

    image = registry.image("v1")

    assert image is not None
    assert (image.digest, image.tags, image.active) == (digest, ("v1",), True)
    assert (image.schema_head, image.schema_oldest, image.schema_admits) == ("0007", "0005", "0006")
    assert [(r.revision, r.phase, r.oldest_code) for r in image.revisions] == [
        ("0006", "expand", "0005"),
        ("0007", "contract", "0006"),
    ]


def test_the_registrys_password_is_not_carried_to_where_it_redirects(
    registry: EcrRegistry, account: Account, repository: str
) -> None:
    push(account, repository, "v1")
    registry.image("v1")

    (first, password), (second, nothing) = Blobs.seen

    assert first == f"/v2/{repository}/blobs/{CONFIG}"
    assert password is not None
    assert password.startswith("Basic ")
    assert (second, nothing) == ("/store", None)


def test_a_version_nobody_pushed_is_none(registry: EcrRegistry) -> None:
    assert registry.image("v9") is None


def test_a_repository_that_is_not_there_says_how_to_make_it(account: Account, blobs: str) -> None:
    with pytest.raises(Unreachable) as why:
        EcrRegistry(account, "rmu-nowhere/app", endpoint=blobs).image("v1")

    assert why.value.next == "rmu infra apply"


def test_a_registry_that_does_not_hand_out_labels_is_unreachable(account: Account, repository: str) -> None:
    push(account, repository, "v1")

    with pytest.raises(Unreachable, match="does not hand out"):
        EcrRegistry(account, repository, endpoint="127.0.0.1:1").image("v1")


@pytest.mark.parametrize(
    ("status", "counts", "expected"),
    [
        ("COMPLETE", {"CRITICAL": 2, "HIGH": 1}, ("critical", 2)),
        ("ACTIVE", {"HIGH": 1}, ("clean", 0)),
        ("COMPLETE", {}, ("clean", 0)),
        ("IN_PROGRESS", {}, ("pending", 0)),
        ("PENDING", {}, ("pending", 0)),
        ("FAILED", {}, ("inconclusive", 0)),
        ("UNSUPPORTED_IMAGE", {}, ("inconclusive", 0)),
    ],
)
def test_only_a_scan_that_completed_proves_anything(
    registry: EcrRegistry,
    account: Account,
    repository: str,
    aws: StandIn,
    status: str,
    counts: dict[str, int],
    expected: tuple[str, int],
) -> None:
    push(account, repository, "v1")
    scan(aws, status, **counts)

    image = registry.image("v1")

    assert image is not None
    assert (image.scan, image.findings) == expected


def test_an_image_that_was_never_scanned_is_inconclusive(
    registry: EcrRegistry, account: Account, repository: str, aws: StandIn
) -> None:
    push(account, repository, "v1")
    aws.faults.instead["DescribeImageScanFindings"] = [error("ScanNotFoundException", "no scan")]

    image = registry.image("v1")

    assert image is not None
    assert image.scan == "inconclusive"


def test_an_archived_image_is_not_active(
    registry: EcrRegistry, account: Account, repository: str, aws: StandIn
) -> None:
    digest = push(account, repository, "v1")
    detail = {"imageDigest": digest, "imageTags": ["v1"], "imageStatus": "ARCHIVED"}
    aws.faults.instead["DescribeImages"] = [(200, {"imageDetails": [detail]})]

    image = registry.image("v1")

    assert image is not None
    assert not image.active


def test_an_index_of_images_is_refused(registry: EcrRegistry, account: Account, repository: str) -> None:
    push(account, repository, "v1", manifests=[])

    with pytest.raises(Refused, match="index of images"):
        registry.image("v1")


def test_f30_a_kept_image_has_a_tag_of_its_own_and_keeping_twice_is_keeping_once(
    registry: EcrRegistry, account: Account, repository: str
) -> None:
    digest = push(account, repository, "v1")

    registry.keep(digest, "keep-r-1")
    registry.keep(digest, "keep-r-1")

    (image,) = registry.images()
    assert (image.digest, image.tags) == (digest, ("keep-r-1", "v1"))


def test_f30_an_image_that_is_gone_cannot_be_kept(registry: EcrRegistry) -> None:
    with pytest.raises(Refused, match="no image"):
        registry.keep("sha256:" + "9" * 64, "keep-r-1")


def test_images_are_listed_newest_first_over_all_pages(registry: EcrRegistry, aws: StandIn) -> None:
    def page(version: str, at: int, **more: str) -> tuple[int, dict[str, Any]]:
        return 200, {"imageDetails": [{"imageDigest": version, "imageTags": [version], "imagePushedAt": at}], **more}

    aws.faults.instead["DescribeImages"] = [page("v1", 1, nextToken="more"), page("v2", 2)]

    assert [i.tags for i in registry.images()] == [("v2",), ("v1",)]


def test_the_login_is_a_url_a_user_and_a_password(account: Account) -> None:
    url, user, password = login(account)

    assert url.startswith("https://")
    assert user == "AWS"
    assert password
