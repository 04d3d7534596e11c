"""Verb ``script``: run a pinned script on the task's target."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from wtsflow.errors import ConfigError, PlanError, Vanished
from wtsflow.fit import Misfit, takes
from wtsflow.model.plan import Target
from wtsflow.model.record import Outcome, Result, Task
from wtsflow.model.script import PinnedScript
from wtsflow.model.values import Json, Secret
from wtsflow.model.workflow import Script
from wtsflow.ports import Execution, Exited, Idle, Output, RunScript, Tools
from wtsflow.verbs import check
from wtsflow.verbs.check import listener, told
from wtsflow.verbs.outputs import outputs
from wtsflow.verbs.passing import interpreter, passed

SLACK = 2.0
"""Seconds that the target's own clock has to enforce the deadline before ours does."""


@dataclass(frozen=True, slots=True)
class RunPinnedScript:
    """Fulfils :class:`wtsflow.ports.Verb`."""

    def perform(self, task: Task, arguments: Mapping[str, Json], tools: Tools) -> Result:
        """Run the script that the step's pin means here, stream its output, judge its end."""
        target = tools.plan.machines[task.target]
        script = _script(task, target, tools)
        invocation = _invocation(task, target, script, arguments, tools)
        execution = tools.session(target).start(invocation)
        try:
            result = _follow(execution, task, script, tools)
        finally:
            execution.close()
        for value in result.outputs.values():
            if isinstance(value, Secret):
                tools.conceal(value)
        return result

    def attach(self, task: Task, tools: Tools) -> Result:
        """Pick up the script that another process began here."""
        raise Vanished("what another process began cannot be picked up again")


def _script(task: Task, target: Target, tools: Tools) -> PinnedScript:
    action = task.step.action
    assert isinstance(action, Script)  # noqa: S101 - the engine dispatches on it
    pin = action.pin_for(target.os)
    if pin is None:
        raise PlanError(f"there is no script for {target.os or 'an unknown system'} in this step")
    return tools.plan.script_for(pin, target.name)


def _invocation(
    task: Task,
    target: Target,
    script: PinnedScript,
    arguments: Mapping[str, Json],
    tools: Tools,
) -> RunScript:
    _refuse_misfits(script, arguments)
    content = tools.read(script)
    given = passed(script, arguments)
    run_as = task.step.run_as or script.interface.run_as or target.run_as
    return RunScript(
        content=content,
        sha256=script.sha256,
        name=script.path.rpartition("/")[2],
        marker=hashlib.sha256(f"{tools.run}/{task.name}".encode()).hexdigest()[:32],
        command=interpreter(script, content),
        arguments=(*check.arguments(tools.plan, script), *given.arguments),
        environment={
            **given.environment,
            **check.environment(tools.plan, script),
            "WTS_RUN": tools.run,
            "WTS_TARGET": target.name,
            "WTS_ATTEMPT": str(task.attempt),
        },
        stdin=given.stdin,
        deadline=task.deadline,
        grace=tools.plan.grace,
        run_as=run_as,
        password=_password(run_as, target, tools),
    )


def _refuse_misfits(script: PinnedScript, arguments: Mapping[str, Json]) -> None:
    """Values that came from other steps are held against what the script declares, like inputs."""
    known = script.interface.parameters or {}
    for name, value in arguments.items():
        if name in known:
            try:
                takes(f"with: '{name}'", value, known[name])
            except Misfit as misfit:
                raise PlanError(misfit.message, cure=misfit.cure) from None


def _password(run_as: str, target: Target, tools: Tools) -> Secret | None:
    name = target.settings.get("sudo_password")
    if not run_as or name is None:
        return None
    password = tools.credentials.secret(str(name))
    if password is None:
        raise ConfigError(
            f"{target.name}: there is no credential '{name}' for sudo",
            cure=f"keyring set wtsflow {name}",
        )
    tools.conceal(password)
    return password


def _follow(execution: Execution, task: Task, script: PinnedScript, tools: Tools) -> Result:
    """Iterate to the end; ask it to stop when it is cancelled or our own clock says so."""
    limit = tools.clock.monotonic() + task.deadline + SLACK
    last, late, stopped = listener(tools.plan, script), False, False
    for signal in execution:
        match signal:
            case Output(stream, data):
                if stream == "stdout":
                    last.feed(data)
                if not script.interface.sensitive:
                    tools.output(stream, data)
            case Exited():
                partial = tools.plan.check
                result = _judge(
                    signal, task, script, last.text, cancelled=stopped, late=late, partial=partial
                )
                return told(task, result, last, signal.output, script, tools)
            case Idle():
                pass
        if tools.cancelled and not stopped:
            stopped = True
            execution.stop()
        elif not (late or stopped) and tools.clock.monotonic() > limit:
            late = True
            execution.stop()
    raise AssertionError("an execution ended without saying how")


def _judge(
    end: Exited,
    task: Task,
    script: PinnedScript,
    last: bytes,
    *,
    cancelled: bool,
    late: bool,
    partial: bool = False,
) -> Result:
    if end.timed_out or late:
        message = f"still running after {task.deadline:g} s"
        return Result(Outcome.TIMEOUT, message, end.code, end.signal, end.stop)
    if cancelled and end.stop is not None:
        return Result(Outcome.CANCELLED, "stopped on request", end.code, end.signal, end.stop)
    own = script.interface.outcomes.get(end.code) if end.code is not None else None
    if end.code == 0 or own is not None:
        declared = task.step.outputs or script.interface.outputs
        try:
            found = outputs(end.output, last, declared, partial=partial)
        except PlanError as error:
            return Result(Outcome.FAILED, error.message, end.code)
        return Result(own or Outcome.SUCCESS, "", end.code, outputs=found)
    if end.signal:
        return Result(Outcome.FAILED, f"ended by signal {end.signal}", end.code, end.signal)
    return Result(Outcome.FAILED, f"exit code {end.code}", end.code)
