"""The command line: arguments in, exit code out; one file a command.

A command is ``cli/<name>.py`` with a function ``command`` (typer-annotated parameters) or, for
several sub-commands, ``app = typer.Typer()``; and a line in :data:`wtsflow.cli.main.COMMANDS`. Its
docstring is its help; the block after a line ``Examples:`` is printed as it stands. It may return
an exit code, call :func:`wtsflow.cli.common.stop`, or raise a
:class:`~wtsflow.errors.WtsflowError`, which is rendered in one place (:mod:`wtsflow.cli.ending`).
``--color``, ``-q``, ``-v`` and ``--workspace`` are added to every command; what they said is in
:func:`wtsflow.cli.common.frame`.
"""
