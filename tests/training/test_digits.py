"""The second domain, and the guide that shows it: both as their users run them."""

from pathlib import Path

import pytest

from tests.support.pages import blocks
from training.digits.images import KNOWN, load_images
from training.digits.run import NATIVE, TWIN, Line, run
from training.digits.versions import JOINT, NO_MAP, POST_HOC

GUIDE = "docs/bring-your-own-model.md"


@pytest.fixture(scope="module")
def lines() -> list[Line]:
    return run(lambda _: None, seeds=1, epochs=60)


def test_both_maps_serve_where_none_breaks(lines: list[Line]) -> None:
    last = {line.name: line for line in lines if line.version == len(KNOWN) - 1}
    native = next(line for line in lines if line.name == NATIVE)
    assert set(last) == {NO_MAP, POST_HOC, JOINT}
    assert (native.r_squared, native.probes) == (1, 1)
    for name in (POST_HOC, JOINT):
        assert last[name].r_squared > 0.8
        assert last[name].odd > native.odd - 0.1
        assert last[name].odd > last[NO_MAP].odd + 0.1
        assert last[name].probes > last[NO_MAP].probes
    twin = next(line for line in lines if line.name == TWIN)
    assert twin.accuracy is None
    assert 0.8 < twin.r_squared < 1


def test_what_judges_is_learned_from_by_nobody() -> None:
    images = load_images()
    assert not images.judged[: KNOWN[-1]].any()
    assert images.judged.sum() == len(images.digits) - KNOWN[-1] > 500


def test_the_guide_runs_and_its_code_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = [block.text for block in blocks(GUIDE)]
    assert len([line for line in code.splitlines() if line.strip()]) <= 40
    monkeypatch.chdir(tmp_path)
    exec(compile(code, GUIDE, "exec"), {})  # noqa: S102 - our own guide
    printed = dict(line.split(":") for line in capsys.readouterr().out.splitlines()[:3])
    assert (tmp_path / "runs" / "b1" / "manifest.json").exists()
    assert float(printed["v1 as v0"]) > float(printed["native v0"]) - 0.1
    assert float(printed["R^2"]) > 0.8
