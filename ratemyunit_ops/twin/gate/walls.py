"""What hosts may reach and who may reach them, by the record's security groups; the keeper builds it.

Databases see to who comes in themselves; what a host may reach of them is said here.
"""

from typing import Any

from moto.ec2.models import ec2_backends
from moto.rds.models import rds_backends

from ratemyunit_ops.twin.gate.firewall import groups_of, members
from ratemyunit_ops.twin.gate.mend import ACCOUNT
from ratemyunit_ops.twin.gate.state import SEEN

Hole = list[Any]
"""A network, and the first and the last of its ports."""


def walls() -> list[dict[str, Any]]:
    """Answer, for each host's address, the holes in the wall around it: inwards and outwards."""
    return [
        {"address": one.private_ip, **holes(region, groups_of(one))}
        for region, backend in list(ec2_backends[ACCOUNT].items())
        for one in list(backend.all_instances())
        if one.private_ip and one.state not in ("terminated", "shutting-down")
    ]


def holes(region: str, group_ids: set[str]) -> dict[str, list[Hole]]:
    """Answer what groups let in and out, together."""
    backend = ec2_backends[ACCOUNT][region]
    groups = [group for group in map(backend.get_security_group_from_id, sorted(group_ids)) if group is not None]
    return {
        "in": [hole for group in groups for rule in list(group.ingress_rules) for hole in _holes(region, rule)],
        "out": [hole for group in groups for rule in list(group.egress_rules) for hole in _holes(region, rule)],
    }


def _holes(region: str, rule: Any) -> list[Hole]:
    if rule.ip_protocol not in ("-1", "tcp"):
        return []
    whole = rule.ip_protocol == "-1"
    first, last = (0, 65535) if whole else (int(rule.from_port), int(rule.to_port))
    return [[network, first, last] for network in _networks(region, rule)]


def _networks(region: str, rule: Any) -> list[str]:
    networks = [rule.cidr_ipv4] if rule.cidr_ipv4 else []
    group = (rule.source_group or {}).get("GroupId")
    if group:
        networks += [*members(region, group), *_databases(region, group)]
    if rule.prefix_list_id:
        prefixes: Any = ec2_backends[ACCOUNT][region].managed_prefix_lists[rule.prefix_list_id]
        networks += [entry["Cidr"] for entry in prefixes.entries.get(prefixes.version, [])]
    return networks


def _databases(region: str, group: str) -> list[str]:
    """Answer the addresses of the databases in a group."""
    return [
        SEEN.database_addresses[id]
        for id, one in list(rds_backends[ACCOUNT][region].databases.items())
        if id in SEEN.database_addresses and group in one.vpc_security_group_ids
    ]
