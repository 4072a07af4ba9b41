"""The reference of `feast-bc`: what its commands print with `--help`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from feast_bc.cli.commands import main

_WIDTH = 88


def commands_page() -> str:
    """The page, in Markdown."""
    parts = ["# Commands\n\nWhat every command prints with `--help`. All of them take `--json`.\n"]
    parts += [f"## {path}\n\n```text\n{text}\n```\n" for path, text in helps(main, "feast-bc")]
    return "\n".join(parts)


def helps(
    command: click.Command, path: str, parent: click.Context | None = None
) -> Iterator[tuple[str, str]]:
    """Yield what a command is called with, and its help; then of all commands below it."""
    # As Click itself makes it: without the settings, help would not name `-h`.
    context = click.Context(
        command,
        parent=parent,
        info_name=path.split()[-1],
        terminal_width=_WIDTH,
        max_content_width=_WIDTH,
        **command.context_settings,
    )
    yield path, command.get_help(context).strip()
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None and not found.hidden:
                yield from helps(found, f"{path} {name}", context)
