"""ECR's records follow the real registry, and the registry follows what is asked of ECR's API.

A push arrives as the registry's notification; PutImage and BatchDeleteImage are carried out in the registry too. A
push that moves an immutable tag is put back: the registry itself knows no such rule.
"""

import json
import os
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Any

from moto.core.exceptions import ServiceException
from moto.ecr.models import ECRBackend, Image, ecr_backends

from ratemyunit_ops.twin.gate.mend import ACCOUNT, mend, refuse

REGISTRY = os.environ.get("RMU_TWIN_REGISTRY", "")
SCAN_SECONDS = 2.0
KINDS = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json"
)
# Digest, or "*" for every image -> severity -> how many.
PLANTED: dict[str, dict[str, int]] = {}

_put_image = ECRBackend.put_image
_delete_images = ECRBackend.batch_delete_image


def pushed(envelope: dict[str, Any]) -> None:
    """Take the registry's news of pushes into the record."""
    for event in envelope.get("events", []):
        target = event.get("target", {})
        if event.get("action") == "push" and target.get("tag"):
            _record_push(target["repository"], target["tag"], target["digest"])


def _record_push(name: str, tag: str, digest: str) -> None:
    backend = next((one for one in list(ecr_backends[ACCOUNT].values()) if name in one.repositories), None)
    if backend is None:
        print(f"ecr: {name}:{tag} was pushed, but there is no such repository; ECR would have refused it", flush=True)
        return
    known = next((one for one in backend.repositories[name].images if tag in one.image_tags), None)
    if known is not None and known.get_image_digest() == digest:
        return
    kind, manifest = _manifest(name, digest)
    try:
        _put_image(backend, name, manifest, tag, kind, digest)
    except ServiceException as why:
        print(f"ecr: {name}:{tag} is put back: {why.message}", flush=True)
        if known is not None:
            _tag(name, tag, known)


@mend(ECRBackend)
def put_image(
    self: ECRBackend,
    repository_name: str,
    image_manifest: str,
    image_tag: str,
    image_manifest_mediatype: str | None = None,
    digest: str | None = None,
) -> Image:
    """Tag an image that is in the registry already.

    Raises: LayersNotFoundException when the registry does not have it.
    """
    image = next(
        (one for one in self.repositories[repository_name].images if one.image_manifest == image_manifest), None
    )
    put = _put_image(
        self,
        repository_name,
        image_manifest,
        image_tag,
        image_manifest_mediatype,
        digest or (image.get_image_digest() if image else None),
    )
    if image_tag:
        _tag(repository_name, image_tag, put)
    return put


@mend(ECRBackend)
def batch_delete_image(
    self: ECRBackend,
    repository_name: str,
    registry_id: str | None = None,
    image_ids: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Delete in the record, and in the registry what the record no longer has."""
    before = (
        {one.get_image_digest() for one in self.repositories[repository_name].images}
        if (repository_name in self.repositories)
        else set()
    )
    answer = _delete_images(self, repository_name, registry_id, image_ids)
    after = {one.get_image_digest() for one in self.repositories[repository_name].images}
    for digest in before - after:
        _call("DELETE", f"{repository_name}/manifests/{digest}")
    return answer


@mend(Image)
def get_image_size_in_bytes(self: Image) -> int:
    """Add up what a pull would fetch; moto answers the size of the image's configuration."""
    manifest = json.loads(self.image_manifest)
    parts = [*manifest.get("layers", []), manifest.get("config", {})]
    return sum(int(part.get("size", 0)) for part in parts)


@mend(ECRBackend)
def describe_image_scan_findings(
    self: ECRBackend, registry_id: str, repository_name: str, image_id: dict[str, Any]
) -> dict[str, Any]:
    """Answer what was planted for an image, some seconds after its push; nothing otherwise.

    Raises: ScanNotFoundException when the repository does not scan and nobody asked for a scan.
    """
    repository = self._get_repository(repository_name, registry_id)
    image = repository._get_image(image_id.get("imageTag"), image_id.get("imageDigest"))
    settings: Any = repository.image_scanning_configuration or {}
    on_push = settings.get("scanOnPush")
    if not image.last_scan and not on_push:
        raise refuse("ScanNotFoundException", f"Image scan does not exist for the image in {repository_name}")
    began = image.last_scan.timestamp() if image.last_scan else float(image.image_pushed_at)
    digest = image.get_image_digest()
    answer: dict[str, Any] = {
        "registryId": repository.registry_id,
        "repositoryName": repository_name,
        "imageId": {"imageDigest": digest, **({"imageTag": image.image_tag} if image.image_tag else {})},
        "imageScanStatus": {"status": "IN_PROGRESS", "description": "The scan is in progress."},
    }
    if time.time() - began < SCAN_SECONDS:
        return answer
    counts = PLANTED.get(digest, PLANTED.get("*", {}))
    answer["imageScanStatus"] = {"status": "COMPLETE", "description": "The scan was completed successfully."}
    answer["imageScanFindings"] = {
        "imageScanCompletedAt": datetime.fromtimestamp(began + SCAN_SECONDS, UTC),
        "vulnerabilitySourceUpdatedAt": datetime.fromtimestamp(began, UTC),
        "findings": [_finding(severity, n) for severity, count in counts.items() for n in range(count)],
        "findingSeverityCounts": counts,
    }
    return answer


def _finding(severity: str, number: int) -> dict[str, Any]:
    return {
        "name": f"CVE-2099-{number + 1:04}",
        "severity": severity,
        "description": "planted in the twin",
        "attributes": [{"key": "package_name", "value": "twin"}, {"key": "package_version", "value": "1"}],
    }


def _manifest(name: str, digest: str) -> tuple[str, str]:
    kind, text = _call("GET", f"{name}/manifests/{digest}", headers={"Accept": KINDS})
    return kind, text.decode()


def _tag(name: str, tag: str, image: Image) -> None:
    kind = image.image_manifest_media_type or "application/vnd.oci.image.manifest.v1+json"
    _call("PUT", f"{name}/manifests/{tag}", image.image_manifest.encode(), {"Content-Type": kind})


def _call(
    method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[str, bytes]:
    request = urllib.request.Request(f"http://{REGISTRY}/v2/{path}", data=body, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  (always http)
            return answer.headers.get("Content-Type", ""), answer.read()
    except urllib.error.HTTPError as why:
        if method == "DELETE" and why.code == 404:
            return "", b""
        raise refuse("LayersNotFoundException", f"the registry answers {why.code} to {method} {path}") from why
