"""Who may reach a port, by the record's security groups; the keepers make it so."""

from typing import Any

from moto.ec2.models import ec2_backends

from ratemyunit_ops.twin.gate.mend import ACCOUNT


def admitted(region: str, group_ids: list[str], port: int) -> list[str]:
    """Answer the addresses and networks that these groups let in to a TCP port, sorted."""
    backend = ec2_backends[ACCOUNT][region]
    sources: set[str] = set()
    for id in group_ids:
        group = backend.get_security_group_from_id(id)
        if group is None:
            continue
        if group.is_default:
            # On AWS a default group lets its own members in; moto makes it without that rule.
            sources.update(members(region, id))
        for rule in list(group.ingress_rules):
            if _covers(rule, port):
                sources.update(_sources(region, rule))
    return sorted(sources)


def members(region: str, group_id: str) -> list[str]:
    """Answer the addresses of the instances that are in a group."""
    return [
        one.private_ip
        for one in list(ec2_backends[ACCOUNT][region].all_instances())
        if one.private_ip and group_id in groups_of(one)
    ]


def groups_of(instance: Any) -> set[str]:
    """Answer the ids of an instance's groups: its own, and those of its network interfaces."""
    groups = [*instance.security_groups, *(group for nic in instance.nics.values() for group in nic.group_set)]
    return {str(getattr(group, "id", group)) for group in groups}


def _covers(rule: Any, port: int) -> bool:
    if rule.ip_protocol == "-1":
        return True
    return bool(rule.ip_protocol == "tcp" and rule.from_port <= port <= rule.to_port)


def _sources(region: str, rule: Any) -> list[str]:
    sources = [rule.cidr_ipv4] if rule.cidr_ipv4 else []
    if rule.source_group.get("GroupId"):
        sources += members(region, rule.source_group["GroupId"])
    if rule.prefix_list_id:
        prefixes: Any = ec2_backends[ACCOUNT][region].managed_prefix_lists[rule.prefix_list_id]
        sources += [entry["Cidr"] for entry in prefixes.entries.get(prefixes.version, [])]
    return sources
