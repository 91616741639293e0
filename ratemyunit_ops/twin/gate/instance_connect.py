"""EC2 Instance Connect: a public key that is pushed for a user of an instance lives for 60 seconds.

The metadata service asks here for the keys of an instance and shows them as AWS does: `#` lines, of which Timestamp is
when the key expires, then the key, its signature, and an empty line.
"""

import base64
import json
import threading
import time
from dataclasses import dataclass
from typing import Any

from moto.ec2.models import ec2_backends
from moto.ec2instanceconnect.responses import Ec2InstanceConnectResponse
from moto.moto_api._internal import mock_random

from ratemyunit_ops.twin.gate.mend import ACCOUNT, mend, refuse

LIVES_S = 60.0
KINDS = ("ssh-ed25519 ", "ssh-rsa ")
LOCK = threading.Lock()


@dataclass(frozen=True)
class Pushed:
    """One key, for one user of one instance."""

    instance: str
    user: str
    key: str
    ends: float
    request: str


PUSHED: list[Pushed] = []


@mend(Ec2InstanceConnectResponse)
def send_ssh_public_key(self: Any) -> str:
    """Keep a key for a minute.

    Raises: EC2InstanceNotFoundException, EC2InstanceStateInvalidException, InvalidArgsException.
    """
    asked = json.loads(self.body)
    id, key = asked["InstanceId"], asked["SSHPublicKey"].strip()
    instance = ec2_backends[ACCOUNT][self.region].get_instance_by_id(id)
    if instance is None:
        raise refuse("EC2InstanceNotFoundException", f"Instance not found: {id}")
    if instance.state != "running":
        raise refuse("EC2InstanceStateInvalidException", f"The instance {id} is {instance.state}")
    if not key.startswith(KINDS) or len(key.splitlines()) != 1:
        raise refuse("InvalidArgsException", "The public key is not valid")
    request = str(mock_random.uuid4())
    with LOCK:
        PUSHED[:] = [one for one in PUSHED if one.ends > time.time()]
        PUSHED.append(Pushed(id, asked["InstanceOSUser"], key, time.time() + LIVES_S, request))
    return json.dumps({"RequestId": request, "Success": True})


def active_keys(instance: str, user: str) -> str:
    """Show the keys of a user that have not expired; empty where there is none."""
    with LOCK:
        mine = [one for one in PUSHED if (one.instance, one.user) == (instance, user) and one.ends > time.time()]
    return "\n".join(_shown(one) for one in mine)


def _shown(one: Pushed) -> str:
    signature = base64.b64encode(b"the twin signs nothing").decode()
    head = f"#Timestamp={int(one.ends)}\n#Instance={one.instance}\n#Caller=twin\n#Request={one.request}"
    return f"{head}\n{one.key}\n{signature}\n"
