"""The registry behind ECR: a stock docker-registry inside the namespace that tells the gate of every push."""

from ratemyunit_ops.twin import daemons
from ratemyunit_ops.twin.files import write_json
from ratemyunit_ops.twin.site import Site


def start_registry(site: Site) -> None:
    """Start the registry; its data is the twin's and is wiped with it."""
    directory = site.state_dir / "registry"
    # JSON is YAML.
    write_json(directory / "config" / "registry.yml", _settings(site))
    daemons.start(site, "registry", ["docker-registry", "serve", str(directory / "config" / "registry.yml")])


def _settings(site: Site) -> dict[str, object]:
    return {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(site.state_dir / "registry" / "data")},
            "delete": {"enabled": True},
        },
        "http": {"addr": site.registry_inside, "relativeurls": True},
        "notifications": {
            "endpoints": [
                {
                    "name": "gate",
                    "url": f"http://{site.gate_inside}/twin/pushed",
                    "timeout": "5s",
                    "threshold": 3,
                    "backoff": "1s",
                    "ignore": {"actions": ["pull"]},
                }
            ]
        },
    }
