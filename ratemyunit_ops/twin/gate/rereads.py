"""What a second plan reads back and moto forgets: without these an unchanged stack looks changed for ever."""

from collections.abc import Iterable
from typing import Any

from moto.ec2.models.launch_templates import LaunchTemplate, LaunchTemplateBackend, LaunchTemplateVersion
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ec2.utils import parse_user_data
from moto.rds.models import DBParameterGroup

from ratemyunit_ops.twin.gate.mend import mend

_init = SecurityGroupRule.__init__
_update = DBParameterGroup.update_parameters
_create = LaunchTemplateBackend.create_launch_template
_version = LaunchTemplate.create_version


def _init_with_prefix_description(self: SecurityGroupRule, *arguments: Any, **named: Any) -> None:
    _init(self, *arguments, **named)
    prefix = named.get("prefix_list_id") or (arguments[7] if len(arguments) > 7 else None) or {}
    self.prefix_description = prefix.get("Description")  # type: ignore[attr-defined]


def _description(self: SecurityGroupRule) -> str | None:
    kept = (self.ip_range.get("Description"), self.source_group.get("Description"), self.prefix_description)  # type: ignore[attr-defined]
    return next((text for text in kept if text), None)


SecurityGroupRule.__init__ = _init_with_prefix_description  # type: ignore[method-assign]
SecurityGroupRule.description = property(_description)  # type: ignore[method-assign, assignment]


@mend(DBParameterGroup)
def update_parameters(self: DBParameterGroup, new_parameters: Iterable[dict[str, Any]]) -> None:
    """Mark what was set as the user's own: Terraform reads back only that."""
    _update(self, ({**parameter, "Source": "user"} for parameter in new_parameters))


@mend(LaunchTemplateBackend)
def create_launch_template(
    self: LaunchTemplateBackend,
    name: str,
    description: str,
    template_data: dict[str, Any],
    tag_spec: dict[str, Any],
) -> LaunchTemplate:
    """Keep the template's own tags out of what it says of the things it launches."""
    told = template_data.get("TagSpecifications", [])
    others = [spec for spec in told if spec["ResourceType"] != "launch-template"]
    return _create(self, name, description, {**template_data, "TagSpecifications": others}, tag_spec)


@mend(LaunchTemplate)
def create_version(self: LaunchTemplate, data: dict[str, Any], description: str) -> LaunchTemplateVersion:
    """Read user data as the first version's is read: moto cannot launch from a later version that has any."""
    told = data.get("UserData")
    read = {"UserData": parse_user_data(told)} if type(told) is str else {}
    return _version(self, {**data, **read}, description)
