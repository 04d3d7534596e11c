"""Verb ``script``: run a pinned script on the task's target."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from wtsflow.errors import ConfigError, PlanError
from wtsflow.fit import Misfit, takes
from wtsflow.model.plan import Target
from wtsflow.model.record import Outcome, Result, Task
from wtsflow.model.script import PinnedScript
from wtsflow.model.values import Json, Secret
from wtsflow.model.workflow import Script
from wtsflow.ports import Output, RunScript, Tools
from wtsflow.verbs import check
from wtsflow.verbs.check import listener, told
from wtsflow.verbs.following import End, Follower
from wtsflow.verbs.outputs import outputs
from wtsflow.verbs.passing import interpreter, passed


@dataclass(frozen=True, slots=True)
class RunPinnedScript:
    """Fulfils :class:`wtsflow.ports.Verb`."""

    def perform(self, task: Task, arguments: Mapping[str, Json], tools: Tools) -> Result:
        """Run the script that the step's pin means here, stream its output, judge its end."""
        target = tools.plan.machines[task.target]
        script = _script(task, target, tools)
        invocation = _invocation(task, target, script, arguments, tools)
        return _result(task, target, script, invocation, tools, Follower.begin)

    def attach(self, task: Task, tools: Tools) -> Result:
        """Pick up the script that another process began on the task's target."""
        target = tools.plan.machines[task.target]
        script = _script(task, target, tools)
        invocation = _addressed(task, target, script, tools)
        return _result(task, target, script, invocation, tools, Follower.find)


def _result(
    task: Task,
    target: Target,
    script: PinnedScript,
    invocation: RunScript,
    tools: Tools,
    follow: Callable[[Follower], End],
) -> Result:
    """Follow the script, hand its output on and judge its end."""
    heard = listener(tools.plan, script)

    def taken(output: Output) -> None:
        if output.stream == "stdout":
            heard.feed(output.data)
        if not script.interface.sensitive:
            tools.output(output.stream, output.data)

    end = follow(Follower(task, target, invocation, tools, taken))
    result = _judge(end, task, script, heard.text, partial=tools.plan.check)
    result = told(task, result, heard, end.exited.output, script, tools)
    for value in result.outputs.values():
        if isinstance(value, Secret):
            tools.conceal(value)
    return result


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
    return replace(
        _addressed(task, target, script, tools),
        content=content,
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
    )


def _addressed(task: Task, target: Target, script: PinnedScript, tools: Tools) -> RunScript:
    """What finds an attempt on its target, without anything to run."""
    run_as = task.step.run_as or script.interface.run_as or target.run_as
    return RunScript(
        content=b"",
        sha256=script.sha256,
        name=script.path.rpartition("/")[2],
        marker=hashlib.sha256(f"{tools.run}/{task.name}".encode()).hexdigest()[:32],
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


def _judge(end: End, task: Task, script: PinnedScript, last: bytes, *, partial: bool) -> Result:
    exited = end.exited
    code, signal = exited.code, exited.signal
    more = f"; {exited.missing}" if exited.missing else ""
    if exited.timed_out or end.late:
        message = f"still running after {task.deadline:g} s{more}"
        return Result(Outcome.TIMEOUT, message, code, signal, exited.stop)
    if end.cancelled and exited.stop is not None:
        return Result(Outcome.CANCELLED, f"stopped on request{more}", code, signal, exited.stop)
    own = script.interface.outcomes.get(code) if code is not None else None
    if code == 0 or own is not None:
        declared = task.step.outputs or script.interface.outputs
        try:
            found = outputs(exited.output, b"" if more else last, declared, partial=partial)
        except PlanError as error:
            return Result(Outcome.FAILED, f"{error.message}{more}", code)
        return Result(own or Outcome.SUCCESS, exited.missing, code, outputs=found)
    if signal:
        return Result(Outcome.FAILED, f"ended by signal {signal}{more}", code, signal)
    return Result(Outcome.FAILED, f"exit code {code}{more}", code)
