"""What a command line asks to run: manifest, answers, ticket, limit and settings.

``plan``, ``run`` and ``apply`` share it, so that what was planned is what is run.
"""

import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wtsflow.cli.common import Frame, frame, note
from wtsflow.cli.partial import CHOICE, by_ending
from wtsflow.errors import ConfigError, UsageError
from wtsflow.model.text import shown
from wtsflow.model.values import MASK, Json, Secret
from wtsflow.model.workflow import Input, Type, Workflow

if TYPE_CHECKING:
    from wtsflow.app import App
    from wtsflow.model.plan import Plan
    from wtsflow.runs import Prepared
    from wtsflow.workspace import Settings, Workspace

VARIABLE = "WTSFLOW_INPUT_"
MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Request:
    """The options that ``plan`` and ``run`` have in common, as they were typed."""

    manifest: str
    inputs: Sequence[str] = ()
    files: Sequence[str] = ()
    """``--inputs``: ``@file``, a file, or ``-``."""
    ticket: str = ""
    limit: str = ""
    start_at: str = ""
    tags: Sequence[str] = ()
    skip_tags: Sequence[str] = ()
    inventories: Sequence[Path] = ()
    environment: str = ""
    """``--env``; empty: what WTSFLOW_ENV or the workspace says."""
    flags: Mapping[str, object] = field(default_factory=dict)
    """Settings by name, None where the flag was not given."""
    check: bool = False
    """Whether scripts only tell what they would do."""
    ask: bool = True
    """Whether missing inputs may be asked for at a terminal."""


def configured(
    flags: Mapping[str, object], environment: str | None = None
) -> tuple["Workspace", "Settings"]:
    """The workspace, with the user's defaults below it, and every setting's value.

    ``environment`` is what ``--env`` says: empty is WTSFLOW_ENV or the default, None is outside of
    all. Raises UsageError where one has to be said.
    """
    from wtsflow.workspace import UserFile, Workspace, effective

    here = frame()
    user = UserFile.read(here.config)
    found = Workspace.find(here.start)
    found = replace(found, ssh={**user.ssh, **found.ssh})
    if environment is not None:
        found = found.within(found.chosen(environment or here.environ.get("WTSFLOW_ENV", "")))
    settings = effective(flags=flags, environ=here.environ, workspace=found, user=user)
    ssh = {"connect_timeout": settings.connect_timeout, **found.ssh}
    return replace(found, ssh=ssh), settings


def opened(flags: Mapping[str, object], environment: str | None = None) -> tuple["App", "Settings"]:
    """The application on the present workspace, within an environment of it."""
    from wtsflow.app import App
    from wtsflow.cli.waiting import patience

    workspace, settings = configured(flags, environment)
    here = frame()
    app = App(workspace, here.state, here.cache, here.environ)
    app.patience = patience(app, settings.wait)
    return app, settings


def prepare(request: Request) -> tuple["App", "Prepared", "Settings"]:
    """Read the manifest, take the answers together, and plan. Raises WtsflowError."""
    app, settings = opened(request.flags, request.environment)
    with closing_on_error(app):
        text, name = manifest_text(request.manifest, app.workspace)
        workflow = app.load(text, name)
        prepared = app.plan(
            workflow,
            answers(request, workflow, frame(), fill=app.workspace.fill),
            inventories=request.inventories,
            ticket=request.ticket,
            limit=by_ending(limit(request.limit), lambda: app.journal),
            passed=left_out(request, workflow),
            check=request.check,
            parallel=settings.parallel,
            timeout=settings.timeout,
            grace=settings.grace,
            reattach=settings.reattach,
            closing=settings.closing,
        )
    for warning in dict.fromkeys(s.warning for s in prepared.plan.scripts.values() if s.warning):
        note(f"warning: {warning}")
    return app, prepared, settings


def left_out(request: Request, workflow: Workflow) -> tuple[str, ...]:
    """The paths of the steps that ``--start-at`` and tags pass over. Raises PlanError."""
    from wtsflow import planning

    part = planning.Part(request.start_at, tuple(request.tags), tuple(request.skip_tags))
    return () if part == planning.Part() else planning.passed(workflow, part)


@contextmanager
def closing_on_error(app: "App") -> Iterator[None]:
    """Let go of the application's files when the block raises."""
    try:
        yield
    except BaseException:
        app.close()
        raise


def manifest_text(name: str, workspace: "Workspace") -> tuple[bytes, str]:
    """The bytes of a manifest, read once, and what it is called: a file, ``-``, or a name.

    ``disk/clean-up`` is looked for in the workspace's folder of manifests too. Raises UsageError.
    """
    if name == "-":
        return sys.stdin.buffer.read(MAX_BYTES + 1), "<stdin>"
    inside = workspace.manifests / name
    for path in (Path(name), inside, inside.with_name(f"{inside.name}.yaml")):
        if path.is_file():
            try:
                return path.read_bytes(), str(path)
            except OSError as error:
                raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    raise UsageError(
        f"there is no manifest '{shown(name, 200)}'",
        cure=f"name a file, or one below {workspace.manifests}",
    )


def within(app: "App", planned: str, said: str) -> None:
    """Work in the environment that something was planned in. Raises UsageError for another one."""
    if said and said != planned:
        raise UsageError(
            f"it was planned in environment '{planned}', not '{shown(said)}'"
            if planned
            else f"it was planned in no environment, so not in '{shown(said)}'",
            cure="leave --env out, or plan the manifest anew",
        )
    app.enter(planned)


# --- inputs -----------------------------------------------------------------------------------


def _nothing(_inputs: Mapping[str, Input], _given: Mapping[str, Json]) -> dict[str, Json]:
    """What is filled in outside of all environments."""
    return {}


def answers(
    request: Request,
    workflow: Workflow,
    here: Frame,
    only: Collection[str] | None = None,
    fill: Callable[[Mapping[str, Input], Mapping[str, Json]], Mapping[str, Json]] = _nothing,
) -> dict[str, Json]:
    """The inputs as given: ``--input`` wins over ``--inputs``, that over the environment.

    ``only`` names the inputs that may be asked for at a terminal (default: those that a run
    needs and ``fill`` does not give). Secrets come from files, the environment or a prompt,
    never from the command line, where every user of the machine can read them. Raises UsageError.
    """
    given: dict[str, Json] = from_environment(workflow, here.environ)
    for name in request.files:
        given.update(from_file(name))
    given.update(from_pairs(request.inputs, workflow))
    known = given.keys() <= workflow.inputs.keys()  # else binding refuses: ask for nothing first
    filled = fill(workflow.inputs, given)
    if request.ask and known and terminal():
        for declared in workflow.inputs.values():
            wanted = declared.required if only is None else declared.name in only
            if wanted and given.get(declared.name) is None and declared.name not in filled:
                given[declared.name] = prompt(declared)
    for name, declared in workflow.inputs.items():
        value = given.get(name)
        if declared.type is Type.SECRET and isinstance(value, str):
            given[name] = secret = Secret(value)
            here.secrets.append(secret)
    return given


def given_again(plan: "Plan", request: Request, *, secrets: bool) -> dict[str, Json]:
    """The plan's inputs, with its secrets asked for again, or masked where none are needed."""
    declared = plan.workflow.inputs
    hidden = {name for name, one in declared.items() if one.type is Type.SECRET}
    given = {name: value for name, value in plan.inputs.items() if name not in hidden}
    wanted = {name for name in hidden if plan.inputs.get(name) is not None}
    if not secrets:
        return {**given, **dict.fromkeys(wanted, Secret(MASK))}
    said = answers(request, plan.workflow, frame(), only=wanted)
    return {**given, **{name: said[name] for name in wanted if name in said}}


def from_pairs(pairs: Sequence[str], workflow: Workflow) -> dict[str, Json]:
    """``--input name=value`` texts."""
    given: dict[str, Json] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise UsageError(f"--input {shown(name)}: a '=' is missing", cure="--input name=value")
        declared = workflow.inputs.get(name)
        if declared is not None and declared.type is Type.SECRET:
            raise UsageError(
                f"input '{name}' is a secret: other users of this machine can read a command line",
                cure=f"give it in {VARIABLE}{name.upper()}, in --inputs @file, or at the prompt",
            )
        if name in given:
            raise UsageError(f"--input {shown(name)} is there twice", cure="keep one")
        given[name] = value
    return given


def from_environment(workflow: Workflow, environ: Mapping[str, str]) -> dict[str, Json]:
    """``WTSFLOW_INPUT_<NAME>`` of the inputs that the workflow declares."""
    return {
        name: environ[VARIABLE + name.upper()]
        for name in workflow.inputs
        if VARIABLE + name.upper() in environ
    }


def from_file(name: str) -> dict[str, Json]:
    """The YAML or JSON map in ``@file`` (or ``file``), or on standard input (``-``)."""
    from wtsflow import source

    name = name.removeprefix("@")
    document = source.load(_read(name, "--inputs"), "<stdin>" if name == "-" else name)
    if not isinstance(document.data, dict):
        raise UsageError(f"--inputs {shown(name)} is not a map", cure="write 'name: value' lines")
    return document.data


def _read(name: str, option: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    try:
        return Path(name).read_bytes()
    except OSError as error:
        text = f"{option} {shown(name, 200)} cannot be read: {error.strerror}"
        raise UsageError(text, cure="name a file that is there") from None


def terminal() -> bool:
    """Whether a person can be asked: both ends of the question are a terminal."""
    from wtsflow.credentials.prompt import UNATTENDED, is_terminal

    return is_terminal() and not frame().environ.get(UNATTENDED)


def prompt(declared: Input) -> Json:
    """Ask for one input, on standard error; what is typed for a secret is not shown."""
    import typer

    if declared.help:
        note(declared.help)
    if declared.choices:
        note(f"one of: {', '.join(str(choice) for choice in declared.choices)}")
    words = shown(declared.title or declared.name, 200)
    hidden = declared.type is Type.SECRET
    return str(typer.prompt(words, err=True, hide_input=hidden))


# --- limit ------------------------------------------------------------------------------------


def limit(text: str) -> str:
    """The host pattern of ``--limit``: as it stands, ``@file`` or ``-`` with one for each line."""
    if (text != "-" and not text.startswith("@")) or CHOICE.match(text):
        return text
    lines = _read(text.removeprefix("@"), "--limit").decode(errors="replace").splitlines()
    wanted = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not wanted:
        raise UsageError(f"--limit {shown(text)} names no target", cure="write one for each line")
    return ",".join(wanted)


def plan_document(path: Path) -> dict[str, Json]:
    """The JSON object in a plan file. Raises UsageError, ConfigError."""
    try:
        data = json.loads(_read(str(path), "plan").decode())
    except (ValueError, RecursionError):
        raise ConfigError(
            f"{path} is not a plan: it is not JSON", cure="wtsflow plan MANIFEST -o FILE makes one"
        ) from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path} is not a plan", cure="wtsflow plan MANIFEST -o FILE makes one")
    return data
