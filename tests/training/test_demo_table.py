"""README's copy of what the demo prints."""

import re
from pathlib import Path
from typing import Any

from tests.support.presence import there
from training.demo.evaluation import Intended, Unintended
from training.demo.table import table
from training.versions.alignment import Alignment

README = (Path(__file__).parents[2] / "README.md").read_text()
PRINTED = there(re.search(r"^```text\n(.*?)\n```", README, re.MULTILINE | re.DOTALL))[1]


def figures(pattern: str) -> list[Any]:
    return re.findall(pattern, PRINTED, re.MULTILINE)


def test_the_readme_shows_the_table_as_it_is_printed() -> None:
    intended = [
        Intended(int(k), int(dim), *map(float, scores))
        for k, dim, *scores in figures(r"^  v(\d) +(\d+) +(\S+) +(\S+) +(\S+)$")
    ]
    aligned = [
        Alignment(
            family,
            int(k),
            int(j),
            float(on_all),
            float(on_held_out),
            float(of_mean),
            (float(large), float(small)),
        )
        for family, k, j, on_all, on_held_out, of_mean, large, small in figures(
            r"^  (\w+_embedding) +(\d) -> (\d) +(\S+) +(\S+) +(\S+) +(\S+) \.\.\. (\S+)$"
        )
    ]
    unintended = Unintended(
        *(float(score) for score in figures(r"^  (?:native|user_embedding_v0|raw).* (0\.\d+)$"))
    )
    difference = float(figures(r"largest difference (\S+)$")[0])
    assert len(intended) == 3
    assert len(aligned) == 6
    assert table(intended, aligned, unintended, difference).strip("\n") == PRINTED


def test_what_is_unknown() -> None:
    unknown = Alignment("user_embedding", 1, 0, 0.25, None, None, (1.0, 0.5))
    text = table([Intended(1, 8, 0.2, 0.1, 0.1)], [unknown], Unintended(0.8, 0.8, 0.5), 0.0)
    assert "  user_embedding   1 -> 0  0.250  ?         ?              1.00 ... 0.50" in text
