"""An instance's settings as RDS tells and takes them.

A restore starts from AWS's defaults, not from its source, so whatever is not asked for here is lost by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ratemyunit_ops.model import DatabaseSettings

Described = Mapping[str, Any]
Arguments = dict[str, Any]

MADE_BY = "rmu:run"
AWS_OWN = "aws:"

BOTH = {
    "auto_minor_upgrade": "AutoMinorVersionUpgrade",
    "backup_window": "PreferredBackupWindow",
    "certificate_authority": "CACertificateIdentifier",
    "copy_tags": "CopyTagsToSnapshot",
    "deletion_protection": "DeletionProtection",
    "iam_authentication": "EnableIAMDatabaseAuthentication",
    "instance_class": "DBInstanceClass",
    "iops": "Iops",
    "multi_az": "MultiAZ",
    "network": "NetworkType",
    "option_group": "OptionGroupName",
    "parameter_group": "DBParameterGroupName",
    "public": "PubliclyAccessible",
    "retention_days": "BackupRetentionPeriod",
    "security_groups": "VpcSecurityGroupIds",
    "storage_gb": "AllocatedStorage",
    "storage_max_gb": "MaxAllocatedStorage",
    "storage_type": "StorageType",
    "subnet_group": "DBSubnetGroupName",
    "throughput": "StorageThroughput",
}
"""Settings by the one name that a restore and a modification share."""
RESTORED = {**BOTH, "log_exports": "EnableCloudwatchLogsExports", "port": "Port"}
"""What a restore takes. Maintenance window, monitoring and insights it does not: they are set afterwards."""
MODIFIED = {
    **BOTH,
    "maintenance_window": "PreferredMaintenanceWindow",
    "monitoring_role": "MonitoringRoleArn",
    "monitoring_seconds": "MonitoringInterval",
    "port": "DBPortNumber",
}
BASELINE = frozenset({"iops", "throughput"})
BASELINE_BELOW_GB = 400


def settings_of(found: Described) -> DatabaseSettings:
    """Read the settings of an instance as DescribeDBInstances tells them."""
    parameters: Described = next(iter(found.get("DBParameterGroups", ())), {})
    options: Described = next(iter(found.get("OptionGroupMemberships", ())), {})
    groups = sorted(g["VpcSecurityGroupId"] for g in found.get("VpcSecurityGroups", ()))
    insights = bool(found.get("PerformanceInsightsEnabled"))
    return DatabaseSettings(
        instance_class=found["DBInstanceClass"],
        storage_gb=found["AllocatedStorage"],
        storage_max_gb=found.get("MaxAllocatedStorage"),
        storage_type=found.get("StorageType", ""),
        iops=found.get("Iops") or None,
        throughput=found.get("StorageThroughput") or None,
        encrypted=bool(found.get("StorageEncrypted")),
        kms_key=found.get("KmsKeyId"),
        multi_az=bool(found.get("MultiAZ")),
        network=found.get("NetworkType", "IPV4"),
        subnet_group=found.get("DBSubnetGroup", {}).get("DBSubnetGroupName", ""),
        security_groups=tuple(groups),
        public=bool(found.get("PubliclyAccessible")),
        port=found.get("Endpoint", {}).get("Port") or found.get("DbInstancePort") or 5432,
        parameter_group=parameters.get("DBParameterGroupName", ""),
        parameter_group_status=parameters.get("ParameterApplyStatus", ""),
        option_group=options.get("OptionGroupName", ""),
        retention_days=found.get("BackupRetentionPeriod", 0),
        backup_window=found.get("PreferredBackupWindow", ""),
        maintenance_window=found.get("PreferredMaintenanceWindow", ""),
        copy_tags=bool(found.get("CopyTagsToSnapshot")),
        log_exports=tuple(sorted(found.get("EnabledCloudwatchLogsExports", ()))),
        deletion_protection=bool(found.get("DeletionProtection")),
        auto_minor_upgrade=bool(found.get("AutoMinorVersionUpgrade")),
        certificate_authority=found.get("CACertificateIdentifier", ""),
        iam_authentication=bool(found.get("IAMDatabaseAuthenticationEnabled")),
        insights_days=found.get("PerformanceInsightsRetentionPeriod") if insights else None,
        insights_key=found.get("PerformanceInsightsKMSKeyId") if insights else None,
        monitoring_seconds=found.get("MonitoringInterval") or 0,
        monitoring_role=found.get("MonitoringRoleArn"),
        tags={k: v for k, v in tags_of(found).items() if k != MADE_BY and not k.startswith(AWS_OWN)},
    )


def tags_of(found: Described) -> dict[str, str]:
    """Read the tags of an instance or a backup."""
    return {tag["Key"]: tag["Value"] for tag in found.get("TagList", ())}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Write tags as RDS takes them."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def restore_arguments(like: DatabaseSettings) -> Arguments:
    """Write all that a restore takes of these settings."""
    return _arguments(like, RESTORED, RESTORED)


def modify_arguments(like: DatabaseSettings, now: DatabaseSettings) -> Arguments:
    """Write what a modification has to set, so that an instance with the settings `now` becomes like the other."""
    different = set(now.difference(like))
    wanted = _arguments(like, MODIFIED, different)
    if "log_exports" in different:
        on, off = set(like.log_exports) - set(now.log_exports), set(now.log_exports) - set(like.log_exports)
        wanted["CloudwatchLogsExportConfiguration"] = {"EnableLogTypes": sorted(on), "DisableLogTypes": sorted(off)}
    if "insights_days" in different or "insights_key" in different:
        wanted |= _insights(like)
    return wanted


def _arguments(like: DatabaseSettings, names: Mapping[str, str], which: Iterable[str]) -> Arguments:
    values = like.model_dump()
    asked = {name: values[name] for name in sorted(set(which) & set(names)) if values[name] not in (None, "")}
    # RDS refuses to be told the performance that a small gp3 disk has anyway: "You can't specify IOPS or storage
    # throughput for engine postgres and a storage size less than 400" (hashicorp/terraform-provider-aws#28361).
    if like.storage_type == "gp3" and like.storage_gb < BASELINE_BELOW_GB:
        asked = {name: value for name, value in asked.items() if name not in BASELINE}
    # The default group is the engine's own: asking for it by name gains nothing, and the local AWS lists none.
    if like.option_group.startswith("default:"):
        asked.pop("option_group", None)
    return {names[name]: list(value) if isinstance(value, tuple) else value for name, value in asked.items()}


def _insights(like: DatabaseSettings) -> Arguments:
    if like.insights_days is None:
        return {"EnablePerformanceInsights": False}
    key = {"PerformanceInsightsKMSKeyId": like.insights_key} if like.insights_key else {}
    return {"EnablePerformanceInsights": True, "PerformanceInsightsRetentionPeriod": like.insights_days, **key}
