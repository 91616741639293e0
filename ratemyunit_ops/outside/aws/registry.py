"""The image registry: ECR's records, and the registry's own HTTP interface where ECR keeps no record (labels)."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from typing import Any, Literal

from ratemyunit_ops.errors import Refused, Unreachable
from ratemyunit_ops.model import ImageView, PendingMigration
from ratemyunit_ops.outside.aws.session import Account, Said

Detail = dict[str, Any]
Scan = tuple[Literal["clean", "critical", "pending", "inconclusive"], int]

INCONCLUSIVE: Scan = ("inconclusive", 0)
PENDING: Scan = ("pending", 0)
MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
SCANNED = frozenset({"COMPLETE", "ACTIVE"})
UNDER_WAY = frozenset({"IN_PROGRESS", "PENDING"})
TIMEOUT_S = 10


class EcrRegistry:
    """One repository. `endpoint` is HOST:PORT of a plain-HTTP registry; None means ECR's own."""

    def __init__(self, account: Account, repository: str, *, endpoint: str | None) -> None:
        self._account = account
        self._repository = repository
        self._endpoint = endpoint

    def image(self, version: str) -> ImageView | None:
        """Find the image of a version, with its scan and its labels; None when there is none."""
        try:
            found = self._ask("DescribeImages", imageIds=[{"imageTag": version}])["imageDetails"][0]
        except Said as why:
            if why.code == "ImageNotFoundException":
                return None
            raise self._no_repository(why) from why
        scan, findings = self._scan(found["imageDigest"])
        labels = self._labels(found["imageDigest"])
        return _view(found, (scan, findings)).model_copy(
            update={
                "schema_head": labels.get("rmu.schema.head", ""),
                "schema_oldest": labels.get("rmu.schema.oldest", ""),
                "schema_admits": labels.get("rmu.schema.admits", ""),
                "revisions": _revisions(labels.get("rmu.schema.revisions", "")),
            }
        )

    def images(self) -> tuple[ImageView, ...]:
        """List every image, newest first; without labels, and with the scan as the listing tells it."""
        try:
            found = self._account.pages("ecr", "DescribeImages", "imageDetails", repositoryName=self._repository)
        except Said as why:
            raise self._no_repository(why) from why
        newest = sorted(found, key=lambda d: d["imagePushedAt"], reverse=True)
        return tuple(_view(d, _counted(d.get("imageScanStatus"), d.get("imageScanFindingsSummary"))) for d in newest)

    def keep(self, digest: str, tag: str) -> None:
        """Protect an image from expiry by a tag of its own; safe to repeat.

        Raises Refused where the image is gone or the tag names another one: tags are immutable.
        """
        image = self._manifest(digest)
        try:
            self._account.act(
                "ecr",
                "PutImage",
                repositoryName=self._repository,
                imageManifest=image["imageManifest"],
                imageManifestMediaType=image.get("imageManifestMediaType") or _media_type(image["imageManifest"]),
                imageDigest=digest,
                imageTag=tag,
            )
        except Said as why:
            if why.code != "ImageAlreadyExistsException":
                raise

    def _ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return self._account.ask("ecr", operation, repositoryName=self._repository, **arguments)

    def _no_repository(self, why: Said) -> Exception:
        if why.code != "RepositoryNotFoundException":
            return why
        return Unreachable(f"there is no repository {self._repository}", next="rmu infra apply")

    def _scan(self, digest: str) -> Scan:
        try:
            answer = self._ask("DescribeImageScanFindings", imageId={"imageDigest": digest})
        except Said as why:
            if why.code != "ScanNotFoundException":
                raise
            return INCONCLUSIVE
        return _counted(answer.get("imageScanStatus"), answer.get("imageScanFindings"))

    def _labels(self, digest: str) -> dict[str, str]:
        """Read the labels out of the image's configuration, a blob like any layer."""
        manifest = json.loads(self._manifest(digest)["imageManifest"])
        if "config" not in manifest:
            raise Refused(
                f"{digest[:19]} is an index of images, whose digest is not the one hosts run",
                next="rmu image push NEW_VERSION   (built without attestations, for one platform)",
            )
        configuration = json.loads(self._blob(manifest["config"]["digest"]))
        labels: dict[str, str] = (configuration.get("config") or {}).get("Labels") or {}
        return labels

    def _manifest(self, digest: str) -> dict[str, Any]:
        answer = self._ask("BatchGetImage", imageIds=[{"imageDigest": digest}], acceptedMediaTypes=list(MANIFESTS))
        if not answer["images"]:
            raise Refused(f"the registry has no image {digest[:19]} any more", next="rmu image list")
        found: dict[str, Any] = answer["images"][0]
        return found

    def _blob(self, digest: str) -> bytes:
        ticket = _token(self._account)
        base = f"http://{self._endpoint}" if self._endpoint else ticket["proxyEndpoint"]
        url = f"{base}/v2/{self._repository}/blobs/{digest}"
        request = urllib.request.Request(url)  # noqa: S310  (the scheme is ours or ECR's, see above)
        # ECR answers with a redirect to S3, which refuses a second kind of authorization beside its own.
        request.add_unredirected_header("Authorization", f"Basic {ticket['authorizationToken']}")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                body: bytes = answer.read()
                return body
        except (urllib.error.URLError, OSError) as why:
            raise Unreachable(
                f"the registry at {base} does not hand out {digest[:19]}: {why}",
                next=self._account.start_hint or "rmu doctor",
            ) from why


def login(account: Account) -> tuple[str, str, str]:
    """Fetch the registry's URL, user and password; the password lasts 12 hours and is kept nowhere."""
    found = _token(account)
    user, _, password = base64.b64decode(found["authorizationToken"]).decode().partition(":")
    return found["proxyEndpoint"], user, password


def _token(account: Account) -> dict[str, str]:
    answer: dict[str, str] = account.ask("ecr", "GetAuthorizationToken")["authorizationData"][0]
    return answer


def _view(detail: Detail, scan: Scan) -> ImageView:
    return ImageView(
        digest=detail["imageDigest"],
        tags=tuple(sorted(detail.get("imageTags", ()))),
        size=detail.get("imageSizeInBytes", 0),
        active=detail.get("imageStatus", "ACTIVE") == "ACTIVE",
        scan=scan[0],
        findings=scan[1],
    )


def _counted(status: Detail | None, findings: Detail | None) -> Scan:
    """Judge a scan. One that did not complete, or an unsupported image, has proven nothing."""
    if status and status.get("status") in UNDER_WAY:
        return PENDING
    if not status or status.get("status") not in SCANNED or findings is None:
        return INCONCLUSIVE
    critical = int((findings.get("findingSeverityCounts") or {}).get("CRITICAL", 0))
    return ("critical", critical) if critical else ("clean", 0)


def _revisions(label: str) -> tuple[PendingMigration, ...]:
    """Read REVISION:PHASE:OLDEST_CODE, separated by commas, as the build writes it."""
    parts = [word.split(":") for word in label.split(",") if word]
    named = [dict(zip(("revision", "phase", "oldest_code"), part, strict=True)) for part in parts]
    return tuple(PendingMigration.model_validate(n) for n in named)


def _media_type(manifest: str) -> str:
    return str(json.loads(manifest).get("mediaType") or MANIFESTS[0])
