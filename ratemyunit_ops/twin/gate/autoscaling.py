"""Auto Scaling with truthful lifecycle states: hooks wait, standby leaves the balancer, terminating drains.

moto launches and forgets at once. Here a launched instance is Pending until its machine runs, Pending:Wait until its
launch hook is completed, and only then InService and registered; a leaving one drains before it is terminated.
"""

import threading
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup, InstanceState, autoscaling_backends
from moto.autoscaling.models import TerminateInstanceActivity as Terminated
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult

from ratemyunit_ops.twin.gate import events
from ratemyunit_ops.twin.gate.ec2 import dress
from ratemyunit_ops.twin.gate.mend import ACCOUNT, mend, refuse
from ratemyunit_ops.twin.gate.state import SEEN

LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
LEAVING = ("Terminating", "Terminated", "Detached")
REFRESHES: dict[str, list[dict[str, Any]]] = {}

# Requests come in threads, and moto's groups have no lock: two of them would launch one instance each.
MOVING = threading.RLock()

_call_action = AutoScalingResponse.call_action
_launch = FakeAutoScalingGroup.replace_autoscaling_group_instances
_resize = FakeAutoScalingGroup.set_desired_capacity
_describe_groups = AutoScalingResponse.describe_auto_scaling_groups
_describe_instances = AutoScalingResponse.describe_auto_scaling_instances
_enter_standby = AutoScalingBackend.enter_standby_instances
_exit_standby = AutoScalingBackend.exit_standby_instances


def groups() -> list[FakeAutoScalingGroup]:
    """Answer every group of every region of the account."""
    return [
        group
        for backend in list(autoscaling_backends[ACCOUNT].values())
        for group in list(backend.autoscaling_groups.values())
    ]


def advance() -> None:
    """Move every instance along its lifecycle as far as the clock and the machines allow."""
    with MOVING:
        for group in groups():
            for state in list(group.instance_states):
                _advance_one(group, state)
            _advance_refresh(group)


def _advance_one(group: FakeAutoScalingGroup, state: InstanceState) -> None:
    now, id = time.time(), state.instance.id
    machine = SEEN.machines.get(id)
    if state.lifecycle_state == "Pending" and machine == "running":
        hook = _hook(group)
        if hook is None:
            _launched(group, state)
        else:
            state.lifecycle_state, state.deadline = "Pending:Wait", now + int(hook.heartbeat_timeout)  # type: ignore[attr-defined]
            waits = {"LifecycleHookName": hook.name, "LifecycleTransition": LAUNCHING}
            _tell(group, state, "EC2 Instance-launch Lifecycle Action", waits)
    elif state.lifecycle_state == "Pending:Wait" and now > state.deadline:  # type: ignore[attr-defined]
        hook = _hook(group)
        _complete(group, state, hook.default_result if hook else "CONTINUE")
    elif state.lifecycle_state == "Terminating":
        if now >= state.leave_at and state.instance.state != "terminated":  # type: ignore[attr-defined]
            group.ec2_backend.terminate_instances([id])
        if state.instance.state == "terminated" and machine != "running" and state in group.instance_states:
            group.instance_states.remove(state)
            _tell(group, state, "EC2 Instance Terminate Successful", {})


def _hook(group: FakeAutoScalingGroup) -> Any:
    hooks = group.autoscaling_backend.describe_lifecycle_hooks(group.name)
    return next((one for one in hooks if one.lifecycle_transition == LAUNCHING), None)


def _launched(group: FakeAutoScalingGroup, state: InstanceState) -> None:
    _in_service(group, state)
    _tell(group, state, "EC2 Instance Launch Successful", {})


def _tell(group: FakeAutoScalingGroup, state: InstanceState, what: str, more: dict[str, Any]) -> None:
    """Put it on EventBridge's default bus, as Auto Scaling does."""
    detail = {"AutoScalingGroupName": group.name, "EC2InstanceId": state.instance.id, "ActivityId": str(uuid.uuid4())}
    events.emit(group.region, "aws.autoscaling", what, {**detail, **more}, [group.arn])


def _in_service(group: FakeAutoScalingGroup, state: InstanceState) -> None:
    state.lifecycle_state = "InService"
    state.in_service_at = time.time()  # type: ignore[attr-defined]
    group.autoscaling_backend.update_attached_target_groups(group.name)


def _complete(group: FakeAutoScalingGroup, state: InstanceState, result: str) -> None:
    if result == "CONTINUE":
        _launched(group, state)
    else:
        _tell(group, state, "EC2 Instance Launch Unsuccessful", {"StatusMessage": "abandoned by its lifecycle hook"})
        leave(group, state)
        group.set_desired_capacity(group.desired_capacity)


def leave(group: FakeAutoScalingGroup, state: InstanceState) -> None:
    """Take an instance out: off the balancer at once, terminated when its connections had time to end."""
    wait = _drain_seconds(group, state)
    _deregister(group, state.instance.id)
    state.lifecycle_state, state.leave_at = "Terminating", time.time() + wait  # type: ignore[attr-defined]


def _drain_seconds(group: FakeAutoScalingGroup, state: InstanceState) -> float:
    delays = [0.0]
    for arn in group.target_group_arns:
        target_group = group.autoscaling_backend.elbv2_backend.target_groups.get(arn)
        # A target that takes no traffic has nothing to drain.
        if target_group and SEEN.targets.get(arn, {}).get(state.instance.id) == "healthy":
            delays.append(float(str(target_group.attributes["deregistration_delay.timeout_seconds"])))
    return max(delays)


def _deregister(group: FakeAutoScalingGroup, id: str) -> None:
    for arn in group.target_group_arns:
        target_group = group.autoscaling_backend.elbv2_backend.target_groups.get(arn)
        if target_group and id in target_group.targets:
            target_group.deregister([{"Id": id}])


@mend(AutoScalingResponse)
def call_action(self: Any) -> Any:
    """Serve one call at a time."""
    with MOVING:
        return _call_action(self)


@mend(FakeAutoScalingGroup)
def active_instances(self: FakeAutoScalingGroup) -> list[InstanceState]:
    """Count those that serve or will."""
    return [one for one in self.instance_states if one.lifecycle_state not in (*LEAVING, "Standby")]


@mend(FakeAutoScalingGroup)
def replace_autoscaling_group_instances(self: FakeAutoScalingGroup, count: int, tags: dict[str, str]) -> None:
    """Launch as moto does, but the new ones are only Pending."""
    before = set(self.instance_states)
    _launch(self, count, tags)
    template = self.ec2_launch_template
    for state in self.instance_states:
        if state not in before:
            state.lifecycle_state = "Pending"
            if template is not None:
                version = template.get_version(self.launch_template_version)
                dress(state.instance, version.data)
                state.instance.add_tags({"aws:ec2launchtemplate:version": str(version.number)})
                state.born_of = version.number  # type: ignore[attr-defined]


@mend(FakeAutoScalingGroup)
def set_desired_capacity(self: FakeAutoScalingGroup, new_capacity: int | None) -> None:
    """Resize; those that leave or stand by are neither counted nor chosen."""
    apart = [one for one in self.instance_states if one.lifecycle_state in (*LEAVING, "Standby")]
    self.instance_states = [one for one in self.instance_states if one not in apart]
    try:
        _resize(self, new_capacity)
    finally:
        self.instance_states += apart


def _launch_template(self: InstanceState) -> dict[str, Any] | None:
    """Tell which version an instance was born of; moto tells the template's default."""
    template = self.auto_scaling_group.ec2_launch_template
    if template is None:
        return None
    version = getattr(self, "born_of", template.default_version_number)
    return {"LaunchTemplateId": template.id, "LaunchTemplateName": template.name, "Version": str(version)}


InstanceState.launch_template = property(_launch_template)  # type: ignore[method-assign, assignment]


@mend(AutoScalingBackend)
def update_attached_target_groups(self: AutoScalingBackend, group_name: str) -> None:
    """Register what is InService; moto would register what has not even booted."""
    group = self.autoscaling_groups[group_name]
    for state in group.instance_states:
        for arn in group.target_group_arns:
            target_group = self.elbv2_backend.target_groups.get(arn)
            if target_group and state.lifecycle_state == "InService" and state.instance.id not in target_group.targets:
                target_group.register([{"Id": state.instance.id, "Port": target_group.port}])


@mend(AutoScalingBackend)
def terminate_instance(self: AutoScalingBackend, instance_id: str, should_decrement: bool) -> Terminated:
    """Drain and terminate one instance, and launch its successor unless told to shrink.

    Raises: ValidationError when no group has it.
    """
    group, state = _member(self, instance_id)
    before = group.desired_capacity
    if should_decrement:
        if before <= group.min_size:  # type: ignore[operator]
            raise refuse(
                "ValidationError",
                "Currently, desiredSize equals minSize. Terminating instance without "
                "replacement will violate group's min size constraint.",
            )
        group.desired_capacity = before - 1  # type: ignore[operator]
    leave(group, state)
    group.set_desired_capacity(group.desired_capacity)
    return Terminated(state.instance, before)  # type: ignore[arg-type]


def _member(backend: AutoScalingBackend, instance_id: str) -> tuple[FakeAutoScalingGroup, InstanceState]:
    for group in list(backend.autoscaling_groups.values()):
        for state in group.instance_states:
            if state.instance.id == instance_id and state.lifecycle_state not in LEAVING:
                return group, state
    raise refuse("ValidationError", f"Instance Id not found - No managed instance found for instance ID: {instance_id}")


@mend(AutoScalingBackend)
def enter_standby_instances(
    self: AutoScalingBackend, group_name: str, instance_ids: list[str], should_decrement: bool
) -> list[Any]:
    """Stand by: off the balancer, still running.

    Raises: ValidationError when the group would fall below its minimum.
    """
    group = self.autoscaling_groups[group_name]
    if should_decrement and group.desired_capacity - len(instance_ids) < group.min_size:  # type: ignore[operator]
        raise refuse(
            "ValidationError",
            f"AutoScalingGroup {group_name} has min-size={group.min_size}; entering standby would violate it.",
        )
    activities = _enter_standby(self, group_name, instance_ids, should_decrement)
    for id in instance_ids:
        _deregister(group, id)
    return activities


@mend(AutoScalingBackend)
def exit_standby_instances(self: AutoScalingBackend, group_name: str, instance_ids: list[str]) -> list[Any]:
    """Come back: InService again, with a fresh grace period."""
    activities = _exit_standby(self, group_name, instance_ids)
    group = self.autoscaling_groups[group_name]
    for state in group.instance_states:
        if state.instance.id in instance_ids:
            _in_service(group, state)
    return activities


@mend(AutoScalingResponse)
def describe_auto_scaling_groups(self: Any) -> ActionResult:
    """Describe groups as they are now."""
    advance()
    return _describe_groups(self)


@mend(AutoScalingResponse)
def describe_auto_scaling_instances(self: Any) -> ActionResult:
    """Describe instances as they are now."""
    advance()
    return _describe_instances(self)


@mend(AutoScalingResponse)
def complete_lifecycle_action(self: Any) -> ActionResult:
    """Let a waiting instance in, or give it up.

    Raises: ValidationError when it does not wait.
    """
    group, state = _waiting(self)
    _complete(group, state, self._get_param("LifecycleActionResult"))
    return EmptyResult()


@mend(AutoScalingResponse)
def record_lifecycle_action_heartbeat(self: Any) -> ActionResult:
    """Give a waiting instance its whole time-out again."""
    group, state = _waiting(self)
    hook = _hook(group)
    state.deadline = time.time() + int(hook.heartbeat_timeout)  # type: ignore[attr-defined]
    return EmptyResult()


def _waiting(self: Any) -> tuple[FakeAutoScalingGroup, InstanceState]:
    advance()
    id = self._get_param("InstanceId")
    group, state = _member(self.autoscaling_backend, id)
    hook = _hook(group)
    if state.lifecycle_state != "Pending:Wait" or hook is None or hook.name != self._get_param("LifecycleHookName"):
        raise refuse("ValidationError", f"No active Lifecycle Action found with instance ID {id}")
    return group, state


@mend(AutoScalingResponse)
def start_instance_refresh(self: Any) -> ActionResult:
    """Replace every instance of a group, one after the other.

    Raises: InstanceRefreshInProgress.
    """
    name = self._get_param("AutoScalingGroupName")
    group = self.autoscaling_backend.autoscaling_groups[name]
    runs = REFRESHES.setdefault(name, [])
    if runs and runs[0]["Status"] == "InProgress":
        raise refuse("InstanceRefreshInProgress", "An instance refresh is already in progress")
    left = [one.instance.id for one in group.active_instances()]
    runs.insert(
        0,
        {
            "InstanceRefreshId": str(uuid.uuid4()),
            "AutoScalingGroupName": name,
            "Status": "InProgress",
            "StartTime": datetime.now(UTC),
            "PercentageComplete": 0,
            "InstancesToUpdate": len(left),
            "left": left,
        },
    )
    return ActionResult({"InstanceRefreshId": runs[0]["InstanceRefreshId"]})


@mend(AutoScalingResponse)
def describe_instance_refreshes(self: Any) -> ActionResult:
    """List a group's refreshes, newest first."""
    advance()
    ids = self._get_param("InstanceRefreshIds", [])
    rows = REFRESHES.get(self._get_param("AutoScalingGroupName"), [])
    return ActionResult({"InstanceRefreshes": [one for one in rows if not ids or one["InstanceRefreshId"] in ids]})


def _advance_refresh(group: FakeAutoScalingGroup) -> None:
    runs = REFRESHES.get(group.name, [])
    if not runs or runs[0]["Status"] != "InProgress":
        return
    if any(one.lifecycle_state != "InService" for one in group.active_instances()):
        return
    left: list[str] = runs[0]["left"]
    runs[0]["InstancesToUpdate"] = len(left)
    if not left:
        runs[0].update(Status="Successful", PercentageComplete=100, EndTime=datetime.now(UTC))
        return
    id = left.pop(0)
    if any(one.instance.id == id for one in group.active_instances()):
        group.autoscaling_backend.terminate_instance(id, False)
