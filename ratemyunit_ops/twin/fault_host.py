"""What breaks inside a host besides the host itself: Redis, the worker, its browser, and what fills the disk."""

from ratemyunit_ops.twin.fault_parts import Act, Fault, host_of, inside, number
from ratemyunit_ops.twin.site import Site

REDIS = "redis-server.service"
CONTAINERS = "/var/lib/containers"
PILE_FILL = f"{CONTAINERS}/twin-pile-fill"
PILE_MIB = 1024
LEFT_MIB = 200

# The name is that of an archived file, so journald's own vacuum knows it. Not filled to the brim: a journald that
# meets a full disk vacuums by itself, and nothing would be left to mend.
_JOURNAL = f"""
set -e
directory=/var/log/journal/$(cat /etc/machine-id)
mkdir -p "$directory"
room=$(($(df --output=avail -BM "$directory" | tail -n 1 | tr -dc 0-9) - {LEFT_MIB}))
fallocate -l "${{room}}M" "$directory/system@{"0" * 31}1-{"0" * 15}1-{"0" * 15}1.journal"
"""
_JOURNAL_AWAY = f"rm -f /var/log/journal/*/system@{'0' * 31}1-*.journal"

# One layer of zeros under the environment's own name, held by no slot; a file takes what else is free.
_PILE = """
set -e
repository=$(jq -r .repository /etc/rmu/host.json)
cd {containers}
head -c {mib}M /dev/zero > twin-layer
tar -cf - twin-layer | podman import --quiet - "$repository:twin-piled"
rm twin-layer
room=$(($(df --output=avail -BM . | tail -n 1 | tr -dc 0-9) - {left}))
fallocate -l "${{room}}M" {fill}
"""
_PILE_AWAY = f"""
rm -f {PILE_FILL} {CONTAINERS}/twin-layer
podman images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' | grep ':twin-piled$' | xargs -r podman rmi
"""

# Its first process only passes signals on: whoever works is below it. The browser is a fault of its own.
_WORKER = """
group=$(systemctl show --value --property=ControlGroup rmu-worker.service)
found=
for process in $(find "/sys/fs/cgroup$group" -name cgroup.procs -exec cat {{}} +); do
    case $(cat "/proc/$process/comm") in
        conmon|podman|crun|chrom*|headless*) ;;
        *) kill -{signal} "$process" && found=yes ;;
    esac
done
test -n "$found" || {{ echo "no worker runs" >&2; exit 1; }}
"""

# The script's own command line must not be found by what it looks for.
_BROWSER = """
found=
for process in /proc/[0-9]*; do
    if tr '\\0' ' ' 2>/dev/null < "$process/cmdline" | grep -q 'chro[m]'; then
        kill -{signal} "${{process#/proc/}}" && found=yes
    fi
done
"""
_FOUND = 'test -n "$found" || { echo "no browser runs" >&2; exit 1; }'


def _acts(script: str, says: str, mend: str, mended: str, *, timeout: float = 30) -> tuple[Act, Act]:
    """Make the two acts of a fault that is a script on a host."""

    def make(site: Site, target: str | None) -> str:
        machine = host_of(site, target)
        inside(machine, script, timeout=timeout)
        return f"{says} {machine.name}"

    def back(site: Site, target: str | None) -> str:
        machine = host_of(site, target)
        inside(machine, mend, timeout=timeout)
        return f"{mended} {machine.name}"

    return make, back


def _pile(site: Site, target: str | None) -> str:
    machine, mib = host_of(site, None), int(number(target or str(PILE_MIB)))
    script = _PILE.format(containers=CONTAINERS, mib=mib, left=LEFT_MIB, fill=PILE_FILL)
    inside(machine, script, timeout=300)
    return f"{mib} MiB of images that nothing needs lie on {machine.name}, whose disk is full"


def _unpile(site: Site, _: str | None) -> str:
    machine = host_of(site, None)
    inside(machine, _PILE_AWAY)
    return f"the images are gone from {machine.name}"


FAULTS = {
    "redis-lost": Fault(
        "stop Redis on a host; nothing starts it again",
        *_acts(f"systemctl stop {REDIS}", "Redis is gone from", f"systemctl start {REDIS}", "Redis is back on"),
    ),
    "redis-frozen": Fault(
        "stop Redis where it is: its unit is active, and it never answers",
        *_acts(
            f"systemctl kill --signal=STOP {REDIS}",
            "Redis hangs on",
            f"systemctl kill --signal=CONT {REDIS}",
            "Redis answers again on",
        ),
    ),
    "worker-stuck": Fault(
        "stop a host's worker where it is: its unit is active, and it takes no job",
        *_acts(
            _WORKER.format(signal="STOP"),
            "the worker hangs on",
            _WORKER.format(signal="CONT"),
            "the worker takes jobs again on",
        ),
    ),
    "browser-hung": Fault(
        "stop the worker's browser where it is; the worker drops it at its job's deadline",
        *_acts(
            _BROWSER.format(signal="STOP") + _FOUND,
            "the browser hangs on",
            _BROWSER.format(signal="CONT"),
            "the browser answers again on",
        ),
    ),
    "journal-full": Fault(
        "let a host's old journal fill its disk",
        *_acts(_JOURNAL, "the journal fills the disk of", _JOURNAL_AWAY, "the journal is small again on"),
    ),
    "images-piled": Fault("fill the disk of a host, TARGET MiB (else 1024) of it with unneeded images", _pile, _unpile),
}
