"""Templates of HTML pages that need no other file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template


def page_template(path: Path) -> Template:
    """A Jinja template: what it is given is escaped, and a name that it is not given is an error.

    Args:
        path: its file; it may include what stands beside it.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(path.parent), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template(path.name)
