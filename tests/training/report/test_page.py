"""The page: whole, by itself, and saying what it must."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from training.__main__ import main
from training.report.finished_run import find_runs, read_run
from training.report.page import write_report


@pytest.fixture(scope="module")
def page(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(find_runs([], runs), tmp_path_factory.mktemp("report"))


def test_it_needs_no_other_file(page: Path) -> None:
    text = page.read_text()
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', text)
    assert sources
    assert all(one.startswith(("data:image/png;base64,", "#")) for one in sources)
    assert "http" not in re.sub(r"base64,[^\"]*", "", text)


def test_the_pictures_lie_beside_it(page: Path) -> None:
    names = {path.name for path in page.parent.glob("*.png")}
    kinds = ("degradation", "trade-off", "tasks", "backfill")
    both = {f"sound-{kind}-{c}.png" for kind in kinds for c in ("logistic", "mlp")}
    assert {*both, "sound-alignment.png", "sound-singular-values.png"} <= names
    assert page.read_text().count("data:image/png;base64,") == len(names)


def test_it_says_what_the_numbers_say(page: Path) -> None:
    sound, weak = page.read_text().split('<h2 id="weak">')
    assert "The encoder beats most-popular and recently-popular in every window" in sound
    assert "WARNING: fewer than 500" in sound
    assert '<th class="grey">luck</th>' in sound
    assert "native v0, run today" in sound
    assert "Drift by age" in sound
    assert "0.783 (0.800)" in sound  # BC-Aligner at v1, mean over seeds: 2.1 % lost
    assert "the interval does not hold 0" in sound
    assert "1 of 2 tasks do not pass the gate" in sound
    assert "3 seeds" in sound
    assert "WARNING: the encoder does not beat most popular in v0, v1, v2" in weak
    assert "Nothing that may be quoted." in weak
    assert "One seed" in weak


def test_names_are_escaped(page: Path) -> None:
    text = page.read_text()
    assert "Own &lt;1&gt;" in text
    assert "Own <1>" not in text


def test_the_command(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(main, ["report", str(runs / "sound"), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert done.output.strip() == str(out / "report.html")
    assert not list(out.glob("weak*"))


def test_what_is_no_finished_run_is_refused(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"No finished run under .*none"):
        find_runs([], tmp_path / "none")
    with pytest.raises(ValueError, match=r"has no results.parquet"):
        read_run(tmp_path)
    with pytest.raises(ValueError, match="hold experiment 'sound'"):
        find_runs([runs / "sound", runs / "sound"], runs)
