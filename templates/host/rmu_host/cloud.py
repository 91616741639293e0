"""AWS as a host needs it: secrets, the pointer, an image's size, the launch hook. The only place that loads boto3."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

# botocore asks the metadata service once, for one second; a busy host then has no credentials, and its deploy fails.
PATIENCE = {"metadata_service_timeout": 5, "metadata_service_num_attempts": 3}


class Cloud:
    """The account, seen from a host with the host's own role."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings

    def _client(self, service: str) -> Any:
        return self._session.client(service, region_name=self.settings["region"])

    @cached_property
    def _session(self) -> Any:
        import boto3
        import botocore.session

        core = botocore.session.get_session()
        for name, value in PATIENCE.items():
            core.set_config_variable(name, value)
        return boto3.Session(botocore_session=core)

    def parameters(self, names: list[str]) -> dict[str, str]:
        """Return the values of SSM parameters, decrypted.

        Raises KeyError naming the first one that does not exist.
        """
        ssm = self._client("ssm")
        found: dict[str, str] = {}
        for start in range(0, len(names), 10):  # GetParameters takes ten names
            answer = ssm.get_parameters(Names=names[start : start + 10], WithDecryption=True)
            found.update({p["Name"]: p["Value"] for p in answer["Parameters"]})
        for name in names:
            if name not in found:
                raise KeyError(name)
        return found

    def item(self, pk: str, sk: str) -> dict[str, Any] | None:
        """Return the JSON body of a ledger item, None where there is none. Reads consistently."""
        answer = self._client("dynamodb").get_item(
            TableName=self.settings["table"], Key={"pk": {"S": pk}, "sk": {"S": sk}}, ConsistentRead=True
        )
        if "Item" not in answer:
            return None
        body: dict[str, Any] = json.loads(answer["Item"]["body"]["S"])
        return body

    def tell(self, pk: str, sk: str, body: dict[str, Any]) -> None:
        """Put a ledger item of this host's own."""
        self._client("dynamodb").put_item(
            TableName=self.settings["table"], Item={"pk": {"S": pk}, "sk": {"S": sk}, "body": {"S": json.dumps(body)}}
        )

    def image_size(self, image: str, digest: str) -> int:
        """Return the compressed size of an image in bytes, by its manifest."""
        answer = self._client("ecr").batch_get_image(
            repositoryName=image.split("/", 1)[1], imageIds=[{"imageDigest": digest}]
        )
        manifest = json.loads(answer["images"][0]["imageManifest"])
        return sum(int(layer["size"]) for layer in manifest["layers"])

    def complete_hook(self, instance: str) -> bool:
        """Tell the ASG that this instance may serve; False where no hook waits for it (a reboot, an old hook)."""
        autoscaling = self._client("autoscaling")
        try:
            autoscaling.complete_lifecycle_action(
                LifecycleHookName=self.settings["hook"],
                AutoScalingGroupName=self.settings["asg"],
                LifecycleActionResult="CONTINUE",
                InstanceId=instance,
            )
        except autoscaling.exceptions.ClientError as why:
            if why.response["Error"]["Code"] != "ValidationError":  # how the ASG says "no such action waits"
                raise
            return False
        return True
