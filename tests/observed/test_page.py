"""The page of an embedding, as text and in a real browser."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from tests.observed.conftest import Observed
from tests.support.browser import asked, run

CONTRAST = """
(() => {
  const line = (x) => x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4;
  const light = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map(x => line(x / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ratio = (one, other) => {
    const [x, y] = [light(one), light(other)].sort((p, q) => q - p);
    return (x + .05) / (y + .05);
  };
  const all = (selector) => [...document.querySelectorAll(selector)];
  const style = (element) => getComputedStyle(element);
  const paper = style(document.body).backgroundColor;
  const texts = all('h1, h2, p, a:not(.skip), th, td, caption, time, .bad, .good');
  const bars = all('svg text.in');
  return {
    paper, texts: texts.length, bars: bars.length,
    worst: Math.min(
      ...texts.map(text => ratio(style(text).color, paper)),
      ...bars.map(text => ratio(style(text).fill, style(text.previousElementSibling).fill)),
      ...all('svg text:not(.in)').map(text => ratio(style(text).fill, paper))),
  };
})()
"""


class Tags(HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_it_needs_no_other_file(observed: Observed) -> None:
    text = observed.page.read_text()
    assert observed.written == f"Wrote {observed.page}.\n"
    tags = Tags(text).found
    assert not {tag for tag, _ in tags} & {"script", "link", "img", "iframe", "object"}
    assert not re.search(r"url\(|@import|src=", text)


def test_it_can_be_read_without_eyes(observed: Observed) -> None:
    """Every table has a caption and headings with a scope; what scrolls can be reached by key."""
    text = observed.page.read_text()
    tags = Tags(text).found
    counts = {name: sum(tag == name for tag, _ in tags) for name in ("table", "caption", "h1")}
    assert counts["table"] == counts["caption"] > 5
    assert counts["h1"] == 1
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in tags if tag == "th")
    scrolled = [a for _, a in tags if a.get("class") == "scroll"]
    assert all(a.get("tabindex") == "0" and a.get("aria-label") for a in scrolled)
    ids = [a["id"] for _, a in tags if a.get("id")]
    assert len(ids) == len(set(ids))
    named = {a[key] for _, a in tags for key in ("aria-labelledby", "aria-describedby") if key in a}
    links = {h[1:] for _, a in tags if (h := a.get("href") or "").startswith("#")}
    assert {each for names in named for each in (names or "").split()} | links <= set(ids)


def test_what_people_wrote_is_shown_as_text(observed: Observed) -> None:
    team = observed.team
    links = [
        "--model-uri",
        "models:/<script>alert(1)</script>/3",
        "--run-url",
        "https://x.test/r?a=1&b",
    ]
    vectors = ["--vectors", str(team.folder / "v0.parquet"), "--join-key", "user_id"]
    assert team.run("publish", "linked", "0", *vectors, *links).exit_code == 0
    page = team.folder / "linked.html"
    assert team.run("report", "linked", "--out", str(page)).exit_code == 0
    text = page.read_text()
    assert "<script>" not in text
    assert '<a href="https://x.test/r?a=1&amp;b" rel="noreferrer">run</a>' in text


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_a_browser_lays_it_out(observed: Observed, mode: str) -> None:
    """Contrast of WCAG AA in both modes."""
    options = ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"]
    found = asked(observed.page, CONTRAST, *(options if mode == "dark" else []))
    assert found["paper"] == ("rgb(22, 25, 28)" if mode == "dark" else "rgb(255, 255, 255)")
    assert found["texts"] > 100
    assert found["bars"] >= 3
    assert found["worst"] >= 4.5


def test_a_narrow_window_scrolls_only_its_tables(observed: Observed) -> None:
    sizes = "[document.documentElement.scrollWidth, window.innerWidth]"
    wide, window = asked(observed.page, sizes, "--window-size=500,900")
    assert wide <= window


def test_it_prints(observed: Observed) -> None:
    printed = observed.page.with_suffix(".pdf")
    run("--no-pdf-header-footer", f"--print-to-pdf={printed}", observed.page.as_uri())
    assert printed.read_bytes().startswith(b"%PDF")
