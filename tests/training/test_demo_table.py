"""The page's copy of what the demo prints."""

import re
from pathlib import Path
from typing import Any

from feast_bc.publishing.probe_suite import ProbeReport
from tests.support.presence import there
from training.demo.evaluation import Intended, Unintended
from training.demo.table import table
from training.versions.alignment import Alignment

PAGE = (Path(__file__).parents[2] / "docs" / "demo.md").read_text()
PRINTED = there(re.search(r"^```text\n(.*?)\n```", PAGE, re.MULTILINE | re.DOTALL))[1]


def figures(pattern: str) -> list[Any]:
    return re.findall(pattern, PRINTED, re.MULTILINE)


def test_the_page_shows_the_table_as_it_is_printed() -> None:
    intended = [
        Intended(int(k), int(dim), *map(float, scores))
        for k, dim, *scores in figures(r"^  v(\d) +(\d+) +(\S+) +(\S+) +(\S+) +(\S+)$")
    ]
    aligned = [
        Alignment(
            family,
            int(k),
            int(j),
            None,
            float(error),
            float(of_mean),
            (float(large), float(small)),
            None if before == "-" else float(before),
            float(neighbours),
            float(products),
            0.0,
            0.0,
            ProbeReport(100, float(logistic), float(mlp), float(trees)),
        )
        for (
            family,
            k,
            j,
            error,
            before,
            of_mean,
            neighbours,
            products,
            logistic,
            mlp,
            trees,
            large,
            small,
        ) in figures(
            r"^  (\w+_embedding) +(\d) -> (\d) +\S+ +(\S+) +(\S+) +(\S+) +(\S+) +(\S+) +(\S+) "
            r"+(\S+) +(\S+) +(\S+) \.\.\. (\S+)$"
        )
    ]
    unintended = Unintended(
        *(float(score) for score in figures(r"^  (?:native|user_embedding_v0|raw).* (0\.\d+)$"))
    )
    difference = float(figures(r"largest difference (\S+)$")[0])
    assert len(intended) == 3
    assert len(aligned) == 6
    again = table(intended, aligned, unintended, difference).strip("\n")
    r_squared = re.compile(r"(_embedding +\d -> \d) +\S+")  # printed from an unrounded error
    assert r_squared.sub(r"\1", again) == r_squared.sub(r"\1", PRINTED)


def test_what_is_unknown_and_what_is_warned_of() -> None:
    numbers = (None, None, None, 0.4, 0.0)
    unknown = Alignment(
        "user_embedding", 1, 0, 0.25, None, None, None, *numbers, probes=ProbeReport(3)
    )
    text = table([Intended(1, 8, 0.2, 0.2, 0.1, 0.1)], [unknown], Unintended(0.8, 0.8, 0.5), 0.0)
    assert re.search(r"user_embedding +1 -> 0 +\? +\? +- +\? +\? +\? +\? +\? +\? +-\n", text)
    assert "Warning: 40% of the vectors of user_embedding version 0 are near zero" in text
