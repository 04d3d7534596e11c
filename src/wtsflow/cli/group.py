"""typer's side of the table: commands are imported when they are asked for."""

import re
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer._click.shell_completion import CompletionItem
from typer.core import TyperGroup

from wtsflow import __version__
from wtsflow.cli.common import Color, frame, out
from wtsflow.cli.main import COMMANDS
from wtsflow.cli.overview import overview
from wtsflow.errors import UsageError

SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Lazy(TyperGroup):
    """The commands of the table, each one imported by the look-up that needs it."""

    def list_commands(self, _ctx: Any) -> list[str]:
        """The names, in the table's order."""
        return list(COMMANDS)

    def get_command(self, _ctx: Any, cmd_name: str) -> Any:
        """The command of this name, with the global options added; None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in self.commands:
            self.commands[cmd_name] = loaded(cmd_name)
        return self.commands[cmd_name]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command, or say which one was meant."""
        if not ctx.resilient_parsing and args[0] not in COMMANDS:
            near = get_close_matches(args[0], COMMANDS, 1, 0.6)
            raise UsageError(
                f"there is no command '{args[0]}'",
                cure=f"did you mean 'wtsflow {near[0]}'?" if near else "see wtsflow --help",
            )
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Names and one-liners from the table, with nothing imported; and our options."""
        named = [
            CompletionItem(command.name, help=command.help)
            for command in COMMANDS.values()
            if command.name.startswith(incomplete)
        ]
        return [*named, *super(TyperGroup, self).shell_complete(ctx, incomplete)]

    def get_help(self, _ctx: Any) -> str:
        """The overview."""
        return overview(frame().style(frame().stdout))


def loaded(name: str) -> Any:
    """Import a command's module and make typer's object of it."""
    module = import_module(COMMANDS[name].module)
    app = getattr(module, "app", None)
    if app is None:
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(name, context_settings=SETTINGS)(module.command)
    else:
        app.info.rich_markup_mode = None
    command = typer.main.get_command(app)
    command.name = name
    _adopt(command, COMMANDS[name].help)
    return command


def _adopt(command: Any, text: str) -> None:
    """Give a command, and all below it, our help options, plain help and the global options."""
    command.rich_markup_mode = None
    command.context_settings = {**SETTINGS, **command.context_settings}
    command.help = _laid_out(command.help or text)
    if isinstance(command, TyperGroup):
        for child in command.commands.values():
            _adopt(child, "")
            child.short_help = " ".join((child.help or "").split("\n\n")[0].split())
        return
    taken = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    command.params += [param for param in _global_options() if taken.isdisjoint(param.opts)]


def _laid_out(text: str) -> str:
    r"""Keep the lines of an ``Examples:`` block as they are (typer's mark for that is ``\b``)."""
    text = text.replace("\\b\n", "\b\n")
    text = re.sub(r"\x08\n( *)(?=Examples:\n)", r"\1", text)
    return re.sub(r"(?m)^( *)(?=Examples:\n(?!\s*\n))", "\\1\b\n\\1", text)


def _global_options() -> list[Any]:
    """The options of :func:`_options`, which act by being seen and reach no command."""
    options = typer.Typer(add_completion=False, rich_markup_mode=None)
    options.command()(_options)
    found = [one for one in typer.main.get_command(options).params if one.name != "help"]
    for one in found:
        one.expose_value = False
    return found


def _color(value: Color | None) -> None:
    if value is not None:
        frame().color = Color(value)


def _quiet(value: bool) -> None:
    frame().quiet |= bool(value)


def _verbose(value: int) -> None:
    frame().verbose = max(frame().verbose, value or 0)


def _workspace(value: Path | None) -> None:
    if value is not None:
        frame().start = value


def _version(value: bool) -> None:
    if value:
        out(f"wtsflow {__version__}")
        raise typer.Exit


def _options(
    color: Annotated[Color | None, typer.Option(help="Colour.", callback=_color)] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No messages but errors.", callback=_quiet)
    ] = False,
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose", "-v", help="Say more.", count=True, show_default=False, callback=_verbose
        ),
    ] = 0,
    workspace: Annotated[
        Path | None,
        typer.Option(help="Folder with wtsflow.yaml.", metavar="DIR", callback=_workspace),
    ] = None,
) -> None:
    """Take what every command takes."""


def root() -> TyperGroup:
    """Return the whole command line as one typer group."""
    app = typer.Typer(cls=Lazy, add_completion=False, rich_markup_mode=None)

    @app.callback(context_settings=SETTINGS)
    def wtsflow(
        version: Annotated[
            bool, typer.Option("--version", "-V", is_eager=True, callback=_version)
        ] = False,
    ) -> None:
        pass

    group = typer.main.get_group(app)
    group.name = "wtsflow"
    group.params += _global_options()
    return group
