"""The local AWS: a network namespace whose hosts really boot.

Imported by nothing but `cli/twin.py` and the tests; no ops code knows that it exists. What lies where: `site`
(names and addresses), `daemons` (processes that outlive the command), `ground` (namespace, bridge, TLS front,
DNS, door), `base` (the Debian root every machine starts from), `machine` (one instance), `imds`, `dns`, `door`
and `certs` (what keepers call), `down` (take everything away).
"""
