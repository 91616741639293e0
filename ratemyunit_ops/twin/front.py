"""The TLS front: AWS's real names at 169.254.169.250:443 inside the namespace, signed by the twin's CA.

The registry's name leads to the registry, the addresses of agents and of the RDS trust bundle to static files, all
else to the gate.
"""

import shutil
import sys

from ratemyunit_ops.twin import agents, certs, daemons
from ratemyunit_ops.twin.files import write_whole
from ratemyunit_ops.twin.site import Site

_STATIC_PORT = 5002
_TRUST = "truststore.pki.rds.amazonaws.com/global/global-bundle.pem"


def start_front(site: Site) -> None:
    """Start the front and the static files behind it."""
    static = site.state_dir / "static"
    (static / _TRUST).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(certs.authority(site).certificate, static / _TRUST)
    for url, package in agents.build(site).items():
        (static / url).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(package, static / url)
    server = [sys.executable, "-m", "http.server", "--bind", site.inner, "--directory", str(static)]
    daemons.start(site, "static", [*server, str(_STATIC_PORT)])
    config = site.state_dir / "front" / "haproxy.cfg"
    write_whole(config, _config(site))
    daemons.start(site, "front", ["haproxy", "-W", "-f", str(config)])


def names(site: Site) -> list[str]:
    """Answer the names the front's certificate is good for."""
    region = site.region
    subdomains = ("", f"{region}.", f"s3.{region}.", "s3.", f"ecr.{region}.", f"dkr.ecr.{region}.", "pki.rds.")
    return [f"*.{subdomain}amazonaws.com" for subdomain in subdomains]


def _config(site: Site) -> str:
    pair = certs.issue(site, "front", names(site))
    bundle = pair.certificate.with_suffix(".bundle")
    write_whole(bundle, pair.certificate.read_text() + pair.key.read_text(), mode=0o600)
    statics = " ".join([_TRUST, *agents.urls(site)])
    return f"""
global
    maxconn 2000
    hard-stop-after 30s
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout http-request 60s
    timeout http-keep-alive 100s
    retries 0
frontend aws
    bind {site.front}:443 ssl crt {bundle} alpn http/1.1
    bind {site.front}:80
    http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
    use_backend registry if {{ hdr(host) -m sub .dkr.ecr. }}
    use_backend static if {{ base {statics} }}
    default_backend gate
backend gate
    server gate {site.gate_inside}
backend registry
    server registry {site.registry_inside}
backend static
    http-request set-path /%[base]
    server static {site.inner}:{_STATIC_PORT}
"""
