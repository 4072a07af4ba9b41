"""What mkdocs runs: pages that are made at build time, and files of the repository as pages."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from docs_build.commands_page import commands_page
from docs_build.formats_page import formats_page

ROOT = Path(__file__).parents[1]

OUTSIDE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "training/README.md": "training.md",
}
"""Files of the repository that are pages of the site too, and where they stand in it."""

_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is not in `docs/`."""
    made = {"reference/commands.md": commands_page(), "reference/formats.md": formats_page()}
    made |= {page: (ROOT / path).read_text() for path, page in OUTSIDE.items()}
    for page, text in made.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Let links lead to where a file stands in the site; what is no page is told by its path."""
    here = {page: path for path, page in OUTSIDE.items()}.get(
        page.file.src_uri, f"docs/{page.file.src_uri}"
    )

    def led(link: re.Match[str]) -> str:
        target, anchor = urldefrag(link[2])
        if not target or "://" in target:
            return link[0]
        path = os.path.normpath(Path(here).parent / target)
        if path not in OUTSIDE and not path.startswith("docs/"):
            return f"{link[1]} (`{path}` in the repository)"
        inside = OUTSIDE.get(path, path.removeprefix("docs/"))
        relative = os.path.relpath(inside, Path(page.file.src_uri).parent)
        return f"[{link[1]}]({relative}{'#' * bool(anchor)}{anchor})"

    return _LINK.sub(led, markdown)
