"""What a load balancer's record becomes: the text of an HAProxy configuration. Nothing here acts."""

import hashlib
import re
from pathlib import Path
from typing import Any

SLOTS = 8
# What the meters read of each request: backend, server, status, and the milliseconds until the target answered, -1
# where it never did.
REQUEST_LINE = "%b %s %ST %Tr"
UNUSED = "127.0.0.1:9"


def backend_of(arn: str) -> str:
    """Name the backend of a target group; two groups never share one."""
    name = arn.split("/")[-2]
    return f"tg-{name}-{hashlib.sha256(arn.encode()).hexdigest()[:6]}"


def render(
    row: dict[str, Any], address: str, socket: Path, certificate: Path, slots: dict[str, dict[str, dict[str, Any]]]
) -> str:
    """Write the configuration of one balancer."""
    parts = [_head(row, socket)]
    parts += [_frontend(row, listener, address, certificate) for listener in row["listeners"]]
    parts += [_backend(arn, group, slots.get(arn, {})) for arn, group in row["target_groups"].items()]
    return "\n".join(parts)


def _head(row: dict[str, Any], socket: Path) -> str:
    idle = row["idle"]
    return f"""global
    maxconn 4000
    stats socket {socket} mode 600 level admin expose-fd listeners
    stats timeout 1d
    hard-stop-after 330s
ring requests
    format raw
    maxlen 200
    size 1048576
defaults
    mode http
    log ring@requests format raw local0
    log-format "{REQUEST_LINE}"
    timeout connect 10s
    timeout client {idle}s
    timeout server {idle}s
    timeout http-request {idle}s
    timeout http-keep-alive {idle}s
    timeout tunnel {idle}s
    retries 0
    option forwardfor
    option idle-close-on-response
    option http-ignore-probes
    option dontlognull
"""


def _frontend(row: dict[str, Any], listener: dict[str, Any], address: str, certificate: Path) -> str:
    tls = f" ssl crt {certificate} alpn h2,http/1.1" if listener["protocol"] == "HTTPS" else ""
    scheme = "https" if tls else "http"
    lines = [
        f"frontend port{listener['port']}",
        f"    bind {address}:{listener['port']}{tls}",
        f"    http-request set-header X-Forwarded-Proto {scheme}",
        f"    http-request set-header X-Forwarded-Port {listener['port']}",
    ]
    for rule in listener["rules"]:
        conditions = " ".join(_condition(one) for one in rule["conditions"])
        lines.append(
            f"    http-request set-var(txn.rule) str({rule['priority']}) if !{{ var(txn.rule) -m found }} {conditions}"
        )
    for rule in listener["rules"]:
        lines += _outcome(rule["actions"], f"{{ var(txn.rule) -m str {rule['priority']} }}")
    lines += _outcome(listener["default"], "!{ var(txn.rule) -m found }")
    # HAProxy wants every http-request line before the first use_backend.
    return "\n".join(sorted(lines, key=lambda line: "use_backend" in line)) + "\n"


def _condition(condition: dict[str, Any]) -> str:
    field = condition["Field"]
    values = condition.get("Values") or []
    if field == "http-header":
        config = condition["HttpHeaderConfig"]
        return _match(f"hdr({config['HttpHeaderName']})", config["Values"])
    if field == "path-pattern":
        return _match("path", condition.get("PathPatternConfig", {}).get("Values") or values)
    if field == "host-header":
        return _match("hdr(host),host_only", condition.get("HostHeaderConfig", {}).get("Values") or values)
    if field == "source-ip":
        return f"{{ src {' '.join(condition['SourceIpConfig']['Values'])} }}"
    raise ValueError(f"the twin's balancer knows no condition {field}")


def _match(sample: str, patterns: list[str]) -> str:
    """Match ALB patterns: `*` is anything, `?` one character, case does not count."""
    expressions = []
    for pattern in patterns:
        escaped = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
        expressions.append("'^" + escaped.replace("'", ".") + "$'")
    return f"{{ {sample} -m reg -i {' '.join(expressions)} }}"


def _outcome(actions: list[dict[str, Any]], condition: str) -> list[str]:
    action = actions[-1]
    if action["Type"] == "forward":
        backend = backend_of(_forward_to(action))
        return [
            f"    use_backend {backend}-open if {condition} {{ nbsrv({backend}) eq 0 }}",
            f"    use_backend {backend} if {condition}",
        ]
    if action["Type"] == "fixed-response":
        config = action["FixedResponseConfig"]
        body = str(config.get("MessageBody") or "").replace('"', "")
        kind = config.get("ContentType") or "text/plain"
        return [
            f'    http-request return status {config["StatusCode"]} content-type {kind} string "{body}" if {condition}'
        ]
    if action["Type"] == "redirect":
        code = "301" if action["RedirectConfig"].get("StatusCode") == "HTTP_301" else "302"
        return [f"    http-request redirect scheme https code {code} if {condition}"]
    raise ValueError(f"the twin's balancer knows no action {action['Type']}")


def _forward_to(action: dict[str, Any]) -> str:
    if action.get("TargetGroupArn"):
        return str(action["TargetGroupArn"])
    return str(action["ForwardConfig"]["TargetGroups"][0]["TargetGroupArn"])


def _backend(arn: str, group: dict[str, Any], slots: dict[str, dict[str, Any]]) -> str:
    port = "" if group["port"] in (None, "traffic-port") else f" port {group['port']}"
    checked, unchecked = [], []
    for number in range(1, SLOTS + 1):
        slot = slots.get(str(number))
        where = f"{slot['address']}:{slot['port']}" if slot else UNUSED
        state = "" if slot else " disabled"
        checked.append(f"    server s{number} {where} check{port}{state}")
        unchecked.append(f"    server s{number} {where}{state}")
    name = backend_of(arn)
    lines = [
        f"backend {name}",
        "    balance roundrobin",
        f"    option httpchk GET {group['path']}",
        f"    http-check expect status {group['matcher']}",
        f"    timeout check {group['timeout']}s",
        f"    default-server inter {group['interval']}s rise {group['healthy']} fall {group['unhealthy']}",
        *checked,
        # With every target unhealthy an ALB sends to all of them.
        f"backend {name}-open",
        "    balance roundrobin",
        *unchecked,
    ]
    return "\n".join(lines) + "\n"
