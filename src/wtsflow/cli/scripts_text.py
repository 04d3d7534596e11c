"""What ``wtsflow scripts`` prints: its JSON documents, and the same as text."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wtsflow.cli.common import frame, note, out
from wtsflow.cli.pins import Use
from wtsflow.cli.tables import table
from wtsflow.model.script import Interface, Parameter
from wtsflow.model.terminal import visible
from wtsflow.model.values import Json
from wtsflow.scripts import Pin, Repository, language
from wtsflow.scripts.catalogue import Upgrade, best, versions
from wtsflow.scripts.release import Proposal
from wtsflow.scripts.sidecar import LABELS

Row = dict[str, Any]


def known(repository: Repository) -> list[str]:
    """Every script that is released or locked, with its alias."""
    found = {Pin.parse(name).script for name in repository.lock.entries}
    for alias in repository.aliases:
        there = repository.origin(alias).scripts
        found |= {f"{alias}:{path}" if alias else path for path in there}
    return sorted(found)


def place(use: Use) -> Row:
    """Where a pin stands."""
    return {
        "file": str(use.file),
        "line": use.location.line,
        "column": use.location.column,
        "workflow": use.workflow,
        "step": use.step.path,
        "pin": use.written,
    }


def places(uses: Iterable[Use]) -> list[str]:
    """The same as lines."""
    return [
        f"  {use.file}:{use.location.line}  {use.workflow}, step {use.step.path}: {use.written}"
        for use in uses
    ]


# --- list -----------------------------------------------------------------------------------


def listing(repository: Repository, uses: Sequence[Use]) -> list[Row]:
    """One row a script."""
    rows = []
    for script in known(repository):
        there = versions(repository, script)
        used = [use for use in uses if use.pin.script == script]
        rows.append(
            {
                "script": script,
                "newest": str(there[-1]),
                "versions": [str(one) for one in there],
                "used": sorted({str(use.pin.version) for use in used}),
                "steps": len(used),
            }
        )
    return rows


def show_listing(rows: Sequence[Row]) -> None:
    """Print it."""
    if not rows:
        note("no script is released yet: wtsflow scripts release PATH")
        return
    cells = [
        (
            row["script"],
            row["newest"],
            str(len(row["versions"])),
            f"{row['steps']} ({', '.join(row['used'])})" if row["steps"] else "-",
        )
        for row in rows
    ]
    table(("script", "newest", "versions", "steps (their versions)"), cells, keep=2)


# --- show -----------------------------------------------------------------------------------


def described(repository: Repository, pin: Pin, uses: Sequence[Use]) -> Row:
    """All that is known of a version."""
    found = repository.describe(pin)
    rollouts = repository.rollouts(pin.alias)
    gone = rollouts.retracted(pin.path, pin.version)
    return {
        "schema": "wtsflow.scripts.show/1",
        "script": pin.script,
        "version": str(pin.version),
        "versions": [str(one) for one in versions(repository, pin.script)],
        "locked": pin.exact in repository.lock.entries,
        "retracted": bool(gone),
        "why": gone.why if gone else "",
        "successors": [str(one) for one in rollouts.successors(pin)],
        "language": str(language(pin.path, b"")),
        **_interface(found),
        "used": [place(use) for use in uses],
    }


def _interface(found: Interface) -> Row:
    known_ones = found.parameters
    return {
        "title": found.title,
        "help": found.help,
        "os": list(found.os),
        "source": found.source,
        "parameters": None if known_ones is None else [_parameter(p) for p in known_ones.values()],
        "outputs": None
        if found.outputs is None
        else {name: str(kind) for name, kind in found.outputs.items()},
        "outcomes": {str(code): name for code, name in found.outcomes.items()},
        "input": str(found.passing or "flags"),
        "check": found.check,
        "run_as": found.run_as,
        "idempotent": found.idempotent,
        "exclusive": found.exclusive,
        "sensitive": found.sensitive,
        "interpreter": found.interpreter,
    }


def _parameter(found: Parameter) -> Row:
    return {
        "name": found.name,
        "type": str(found.type),
        "required": found.required,
        "has_default": found.has_default,
        "default": found.default,
        "choices": list(found.choices),
        "pattern": found.pattern,
        "min": found.min,
        "max": found.max,
        "flag": found.flag,
        "position": found.position,
        "switch": found.switch,
        "help": found.help,
    }


def show_described(said: Row) -> None:
    """Print it."""
    style = frame().style(frame().stdout)
    name = visible(f"{said['script']}@{said['version']}")
    facts = [said["language"], *said["os"], "" if said["locked"] else "not locked"]
    out(f"{style(name, 'bold')}  {visible(', '.join(filter(None, facts)))}", raw=True)
    for line in (said["title"], said["help"]):
        if line:
            out("  " + line.strip().replace("\n", "\n  "))
    if said["retracted"]:
        out(f"  RETRACTED: {said['why'] or 'it never runs'}")
    _show_parameters(said)
    _show_rest(said)
    out(f"\nversions: {', '.join(said['versions'])}")
    if said["successors"]:
        out(f"superseded by: {', '.join(said['successors'])}")
    out("\nused by:" if said["used"] else "\nused by no manifest of this workspace")
    for use in said["used"]:
        out(f"  {use['file']}:{use['line']}  {use['workflow']}, step {use['step']}: {use['pin']}")


def _show_parameters(said: Row) -> None:
    if said["parameters"] is None:
        out("\nparameters: not known; a sidecar can say them")
        return
    source = LABELS.get(said["source"], said["source"])
    if not said["parameters"]:
        out(f"\nparameters: none ({source})")
        return
    out(f"\nparameters ({source}):")
    rows = [
        (p["name"], p["type"], _need(p), _limits(p), p["help"].split("\n")[0])
        for p in said["parameters"]
    ]
    table(("name", "type", "needed", "values", "help"), rows, keep=1, indent="  ")


def _need(parameter: Row) -> str:
    if parameter["has_default"]:
        default = parameter["default"]
        return "default: computed" if default is None else f"default: {shown_value(default)}"
    return {True: "required", False: "optional", None: "not known"}[parameter["required"]]


def shown_value(value: Json) -> str:
    """A value as people write it."""
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _limits(parameter: Row) -> str:
    said = ["|".join(shown_value(one) for one in parameter["choices"][:8])]
    if parameter["min"] is not None or parameter["max"] is not None:
        low = "" if parameter["min"] is None else f"{parameter['min']:g}"
        high = "" if parameter["max"] is None else f"{parameter['max']:g}"
        said.append(f"{low}..{high}")
    said.append(f"/{parameter['pattern']}/" if parameter["pattern"] else "")
    return " ".join(filter(None, said))


def _show_rest(said: Row) -> None:
    outputs = said["outputs"]
    if outputs is None:
        out("\noutputs: not declared")
    elif outputs:
        out("\noutputs:")
        table(("name", "type"), list(outputs.items()), indent="  ")
    for code, name in said["outcomes"].items():
        out(f"exit code {code}: outcome '{name}'")
    for key in ("check", "run_as", "interpreter"):
        if said[key]:
            out(f"{key}: {said[key]}")
    flags = [key for key in ("idempotent", "exclusive", "sensitive") if said[key]]
    if flags:
        out(", ".join(flags))


# --- outdated, update, impact ---------------------------------------------------------------


def outdated_row(newest: Upgrade, fitting: Upgrade | None, steps: int) -> Row:
    """A pin that has a newer version."""
    return {
        "pin": str(newest.pin),
        "script": newest.pin.script,
        "version": str(newest.pin.version),
        "steps": steps,
        "compatible": str(fitting.to) if fitting else None,
        "newest": str(newest.to),
        "breaks": list(newest.breaking),
    }


def show_outdated(rows: Sequence[Row]) -> None:
    """Print it."""
    if not rows:
        note("every pin is the newest version")
        return
    cells = [
        (
            row["pin"],
            str(row["steps"]),
            row["compatible"] or "-",
            row["newest"],
            "; ".join(row["breaks"]) or "compatible",
        )
        for row in rows
    ]
    table(("pin", "steps", "compatible", "newest", "the newest is"), cells, keep=1)
    note("update with: wtsflow scripts update")


def held_back(
    repository: Repository,
    chosen: Sequence[Use],
    moved: Sequence[tuple[Use, Upgrade]],
) -> list[Upgrade]:
    """The newer versions that were not taken because they break something."""
    taken = {use.pin: move.to for use, move in moved}
    found = []
    for pin in sorted({use.pin for use in chosen}, key=str):
        newest = best(repository, pin, lambda _: True)
        if newest and newest.to != taken.get(pin):
            found.append(newest)
    return found


def updated(moved: Sequence[tuple[Use, Upgrade]], kept: Sequence[Upgrade], *, written: bool) -> Row:
    """What was changed, and what was not."""
    return {
        "schema": "wtsflow.scripts.update/1",
        "written": written,
        "updated": [{**place(use), **_way(move)} for use, move in moved],
        "kept": [{"pin": str(one.pin), **_way(one)} for one in kept],
    }


def _way(move: Upgrade) -> Row:
    return {
        "from": str(move.pin.version),
        "to": str(move.to),
        "compatible": move.compatible,
        "breaks": list(move.breaking),
    }


def show_updated(
    moved: Sequence[tuple[Use, Upgrade]], kept: Sequence[Upgrade], *, dry_run: bool
) -> None:
    """Print it."""
    for use, move in moved:
        plus = "+" if use.pin.open else ""
        out(f"{use.file}:{use.location.line}  {use.written} -> {move.to}{plus}")
        for text in move.breaking:
            out(f"  breaks: {text}")
    for one in kept:
        out(f"kept {one.pin}: {one.to} breaks callers ({'; '.join(one.breaking)})")
        note(f"  take it with: wtsflow scripts update {one.pin.script} --to {one.to}")
    if not moved:
        note("nothing to update")
    elif dry_run:
        note("nothing was changed")
    else:
        note("wtsflow.lock was written; look at it all with: wtsflow validate")


def affected(script: str, used: Sequence[Use], ways: Mapping[Pin, Upgrade | None]) -> Row:
    """Who uses it, and what an upgrade does to them."""
    rows = []
    for use in used:
        way = ways[use.pin]
        rows.append({**place(use), "upgrade": _way(way) if way else None})
    return {"schema": "wtsflow.scripts.impact/1", "script": script, "used": rows}


def show_affected(script: str, used: Sequence[Use], ways: Mapping[Pin, Upgrade | None]) -> None:
    """Print it."""
    if not used:
        out(f"{script} is used by no manifest of this workspace")
        return
    files = len({use.file for use in used})
    out(f"{script} is used by {len(used)} step{'s' * (len(used) != 1)} in {files} "
        f"manifest{'s' * (files != 1)}")  # fmt: skip
    for line in places(used):
        out(line)
    for pin in sorted(ways, key=str):
        way = ways[pin]
        if way is None:
            out(f"{pin} is the newest version")
        elif way.compatible:
            out(f"{pin} -> {way.to}: compatible")
        else:
            out(f"{pin} -> {way.to}: breaks callers")
        for change in way.breaking if way else ():
            out(f"  {change}")


# --- release --------------------------------------------------------------------------------


def released(proposal: Proposal, *, made: bool) -> Row:
    """What was released, or would be."""
    return {
        "schema": "wtsflow.scripts.release/1",
        "pin": proposal.pin.exact,
        "tag": proposal.pin.tag,
        "commit": proposal.commit,
        "previous": str(proposal.last) if proposal.last else None,
        "proposed": str(proposal.proposed),
        "changes": [{"breaking": one.breaking, "text": one.text} for one in proposal.changes],
        "made": made,
    }


def show_released(proposal: Proposal, *, made: bool) -> None:
    """Print it."""
    for change in proposal.changes:
        out(f"{'breaks' if change.breaking else 'new'}: {change.text}")
    if proposal.last and not proposal.changes:
        out(f"takes and leaves the same as {proposal.last}")
    state = "released" if made else "would release"
    out(f"{state} {proposal.pin.exact} at commit {proposal.commit[:12]}")
    if made:
        note(f"publish it with: git push origin 'refs/tags/{proposal.pin.tag}'")
