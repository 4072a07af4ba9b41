"""docs/contracts.md, run as it stands: its files, its Python and its commands, in order."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.cli.commands import main

PAGE = (Path(__file__).parents[2] / "docs" / "contracts.md").read_text()
BLOCKS = re.findall(r"^```(python|console)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "digit_check", raising=False)
    namespace: dict[str, object] = {}
    told, errors = "", ""
    for language, text in BLOCKS:
        title = re.match(r"# (\S+\.py)\n", text)
        if title:
            (tmp_path / title[1]).write_text(text)
        elif language == "python":
            exec(compile(text, "docs/contracts.md", "exec"), namespace)  # noqa: S102 - our own page
        else:
            for line in text.splitlines():
                command, _, fails = line.partition(" || test $? = ")
                arguments = shlex.split(command.removeprefix("$ feast-bc "))
                done = CliRunner().invoke(main, arguments, env={"FEAST_BC_CATALOG": "catalog"})
                assert done.exit_code == int(fails or 0), done.output
                told, errors = told + done.stdout, errors + done.stderr
    published = EmbeddingCatalog("catalog").version("image_embedding", 1)
    assert [event.event for event in published.events] == ["publish", "relink", "activate"]
    assert not any(event.forced for event in published.events)
    gate = published.events[-1].gate
    assert gate is not None
    assert [(each["consumer"], each["failures"]) for each in gate["contracts"]] == [
        ("digit_model", []),
        ("digit_check", []),
    ]
    assert len(gate["contracts"][0]["segments"]) == 10
    for consumer in ("digit_model", "digit_check"):
        assert f"contract of {consumer} on version 0 does not hold for 1 -> 0" in errors
    assert told.count("2 contracts, 2 broken.") == 1
    (tmp_path / "told.txt").write_text(told)
