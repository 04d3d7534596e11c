"""Watchers of a run: callables that take every record and every line, in one thread.

:class:`~wtsflow.subscribers.console.Console` shows it to a person,
:class:`~wtsflow.subscribers.jsonl.Stream` writes it for a program as it happens, and
:func:`~wtsflow.subscribers.result.result` says in one document what came of it.
"""
