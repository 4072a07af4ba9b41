"""What all pages of the documentation keep: their code runs, and the site holds together."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from subprocess import PIPE, STDOUT, run
from sys import executable

import pytest

from docs_build.commands_page import helps
from docs_build.formats_page import FORMATS
from docs_build.picture import draw, figure, read
from feast_bc.cli.commands import main
from tests.support.pages import ROOT, RUN, SHOWN, blocks

TESTS = ROOT / "tests"
PAGES = [
    "README.md",
    "SECURITY.md",
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    done = run(
        [executable, "-m", "mkdocs", "build", "--site-dir", folder],
        cwd=ROOT,
        stdout=PIPE,
        stderr=STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_code_runs_somewhere(page: str) -> None:
    languages = {block.language for block in blocks(page)}
    assert languages <= {*RUN, *SHOWN}
    if languages & {*RUN}:
        tests = [path for path in TESTS.rglob("test_*.py") if path != Path(__file__)]
        assert any(f'"{page}"' in path.read_text() for path in tests)


def test_commands_are_told_as_they_are(site: Path) -> None:
    told = Text(site / "reference" / "commands.html").words
    every = dict(helps(main, "feast-bc"))
    assert {f"feast-bc {name}" for name in main.commands} < {*every}
    assert all("-h, --help" in text for text in every.values())
    for text in every.values():
        assert " ".join(text.split()) in told


def test_every_format_is_told(site: Path) -> None:
    told = Text(site / "reference" / "formats.html").words
    code = "".join(path.read_text() for path in (ROOT / "feast_bc").rglob("*.py"))
    kinds = {*re.findall(r"^class (\w+)\(StoredFormat\)", code, re.MULTILINE)}
    assert {kind.__name__ for kind in FORMATS.values()} == kinds
    for kind in FORMATS.values():
        for name, field in kind.model_fields.items():
            assert f" {field.alias or name} " in told


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    pages = [*site.rglob("*.html")]
    assert len(pages) > 25
    fetched = {url for page in pages for url in Text(page).fetched}
    assert fetched
    assert not [url for url in fetched if "//" in url]


def test_the_decision_is_drawn_from_what_the_experiment_told(tmp_path: Path) -> None:
    """The figures stand on two pages; the picture is drawn from one of them."""
    told = (ROOT / "training" / "README.md").read_text().partition("### Ten updates")[2]
    columns, drawn = read((ROOT / "docs" / "choosing.md").read_text())
    assert columns == ["own task", "logistic", "perceptron", "boosted trees"]
    assert len(drawn) == 3
    for method, figures in drawn.items():
        row = re.search(rf"^\| {method.strip(',')} .*$", told, re.MULTILINE)
        assert row
        assert [figure(cell) for cell in row[0].split("|")[2:6]] == figures
    assert draw(tmp_path / "picture.png").stat().st_size > 10_000


def test_the_map_for_models_leads_to_pages(site: Path) -> None:
    links = re.findall(r"\]\((.*?)\)", (site / "llms.txt").read_text())
    assert len(links) > 15
    assert [link for link in links if not (site / link).exists()] == []


class Text(HTMLParser):
    """The words of a page, between single spaces, and what a browser fetches with it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self._parts: list[str] = []
        self.feed(path.read_text())
        self.words = " ".join(" ".join(self._parts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        url = given.get("src") or (given.get("href") if tag == "link" else None)
        if url and given.get("rel") != "canonical":
            self.fetched.append(url)

    def handle_data(self, data: str) -> None:
        self._parts.append(data)
