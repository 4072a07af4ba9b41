"""Adding a contract: what is kept of it, and what is refused before anything is written."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from tests.support.catalogs import files_of, problems
from tests.support.consumer_team import ConsumerTeam
from tests.support.onnx_bytes import LINEAR


def test_only_what_is_needed_of_a_sample_is_kept(consumers: ConsumerTeam) -> None:
    done = consumers.add_model("--segment", "country", "--min", "0.8")
    assert done.exit_code == 0, done.stderr
    assert "at least 0.8, down 0.1 at most. Native vectors give 0.9" in done.stdout
    folder = Path(consumers.team.catalog.root) / "users" / "v0"
    (sample,) = folder.glob("sample-*.parquet")
    assert list(pd.read_parquet(sample).columns) == ["user_id", "churned", "country"]
    assert len(list(folder.glob("model-*.safetensors"))) == 1
    before = files_of(consumers.team.catalog)
    again = consumers.add_model("--segment", "country", "--min", "0.8")
    assert (again.exit_code, "nothing changed" in again.stdout) == (0, True)
    other = consumers.add_model("--min", "0.8")
    assert (other.exit_code, "contract of risk already, with other terms" in other.stderr) == (
        1,
        True,
    )
    assert files_of(consumers.team.catalog) == before
    assert b"secret" not in b"".join(before.values())


def test_no_code_of_a_check_is_kept(consumers: ConsumerTeam) -> None:
    assert consumers.add_check("right").exit_code == 0
    kept = b"".join(files_of(consumers.team.catalog).values())
    assert b"churn_check:right" in kept
    assert b"reindex" not in kept


def test_what_a_contract_stands_on_is_verified(consumers: ConsumerTeam) -> None:
    consumers.add_model()
    catalog = consumers.team.catalog
    assert problems(catalog) == {}
    (sample,) = (Path(catalog.root) / "users" / "v0").glob("sample-*")
    kept = sample.read_bytes()
    sample.write_bytes(kept[:-1] + b"x")
    assert "sha256 mismatch" in problems(catalog)["users: version 0: contract of risk"]
    refused = consumers.team.run("activate", "users", "2")
    assert (refused.exit_code, "it cannot be run: " in refused.stderr) == (3, True)
    sample.unlink()
    assert "a contract stands on it" in problems(catalog)["users: version 0: contract of risk"]
    # It may be deleted once the contract has ended.
    consumers.team.run("contract", "remove", "users", "--version", "0", "--consumer", "risk")
    assert problems(catalog) == {}
    checks = catalog.verify()
    assert any(
        "model-" in (check.note or "") and "Harmless" in (check.note or "") for check in checks
    )


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--check", "churn_check:right", "--model", "m.onnx"], 2, "either --check or --model"),
        ([], 2, "either --check or --model"),
        (["--check", "churn_check:right", "--max", "1"], 2, "--max is no limit of a check"),
        (["--check", "churn_check:right", "--metric", "auc"], 1, "a metric needs a label"),
        (["--check", "churn_check:right", "--segment", "country"], 1, "columns of a sample"),
        (["--check", "churn_check:right", "--min", "1.01"], 1, "or no version could ever serve it"),
        (["--check", "churn_check:right", "--min", "nan"], 1, "limit: Input should be a finite"),
        (["--check", "churn_check"], 1, "expected the name of a module and of a public function"),
        (["--check", "churn_check:gone"], 1, "has no function 'gone'"),
        (["--check", "gone_check:right"], 1, "gone_check cannot be imported"),
        (["--check", "churn_check:few"], 1, "expected at least 50"),
        (["--check", "churn_check:wrong_names"], 1, "takes (entities, rows)"),
        (["--model", "churn.pkl"], 1, "Pickled models are code and are not taken"),
        (["--model", "gone.safetensors"], 1, "gone.safetensors cannot be read"),
        (["--model", "{folder}/churn.safetensors"], 1, "a model needs a metric"),
        (["--check", "churn_check:right", "--tolerance", "-1"], 2, "tolerance"),
        (["--check", "churn_check:right", "--sample", "{folder}"], 1, "cannot be read"),
    ],
)
def test_what_is_no_contract(
    consumers: ConsumerTeam, options: list[str], code: int, message: str
) -> None:
    before = files_of(consumers.team.catalog)
    given = [each.format(folder=consumers.folder) for each in options]
    refused = consumers.add("churn_model", *given)
    assert (refused.exit_code, message in refused.stderr) == (code, True), refused.stderr
    assert files_of(consumers.team.catalog) == before


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"user_id": 1}, [], "an entity occurs more than once by user_id"),
        ({"user_id": 1.5}, [], "join key 'user_id' has Arrow type double"),
        ({"user_id": None}, [], "column(s) user_id missing"),
        ({"churned": "yes"}, [], "label 'churned' has Arrow type"),
        ({"churned": 2}, [], "has other values than 0 and 1"),
        ({"churned": np.nan}, [], "has 200 nulls"),
        ({"country": range(200)}, ["--segment", "country"], "has 200 values; expected 50 at most"),
        ({"user_id": range(1000, 1200)}, [], "knows 0 of the entities"),
    ],
)
def test_what_is_no_sample(
    consumers: ConsumerTeam, change: dict[str, Any], options: list[str], message: str
) -> None:
    frame = consumers.labels.copy()
    for name, values in change.items():
        frame = frame.drop(columns=name) if values is None else frame.assign(**{name: values})
    frame.to_parquet(consumers.folder / "labels.parquet")
    refused = consumers.add_model(*options)
    assert (refused.exit_code, message in refused.stderr) == (1, True), refused.stderr


def test_a_sample_that_is_no_parquet_file(consumers: ConsumerTeam) -> None:
    (consumers.folder / "labels.parquet").write_bytes(b"user_id,churned\n1,0\n")
    assert "is no parquet file" in consumers.add_model().stderr


def test_a_model_of_another_version(consumers: ConsumerTeam) -> None:
    save_file({"weight": np.ones(5, np.float32)}, consumers.folder / "churn.safetensors")
    assert "for vectors of 3 dimensions. Is it a model of this version?" in (
        consumers.add_model().stderr
    )


def test_errors_have_a_largest_value(consumers: ConsumerTeam) -> None:
    sample = ["--sample", str(consumers.folder / "labels.parquet"), "--label", "spent"]
    model = ["--model", str(consumers.folder / "churn.safetensors"), "--metric", "mse", *sample]
    refused = consumers.add("value", *model, "--min", "0.1")
    assert (refused.exit_code, "--min is no limit of mse: use --max" in refused.stderr) == (2, True)
    done = consumers.add("value", *model, "--max", "0.0001")
    assert "at most 0.0001, up 0.1 at most" in done.stdout
    found, code = consumers.team.json("contract", "check", "users", "2")
    (judged,) = found["contracts"]
    assert (code, judged["shadow"]["native"] < 1e-6, judged["shadow"]["flips"]) == (3, True, None)
    assert "expected at most 0.0001" in judged["failures"][0]


def test_a_check_may_be_the_model_and_the_sample_the_judge(consumers: ConsumerTeam) -> None:
    frame = consumers.labels.iloc[:120]
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    (consumers.folder / "some.parquet").write_bytes(buffer.getvalue())
    sample = ["--sample", str(consumers.folder / "some.parquet"), "--label", "churned"]
    done = consumers.add_check("scores", *sample, "--metric", "auc")
    assert done.exit_code == 0, done.stderr
    found, _ = consumers.team.json("contract", "check", "users", "2")
    assert found["contracts"][0]["shadow"]["entities"] == 120


def test_a_model_in_onnx(consumers: ConsumerTeam) -> None:
    (consumers.folder / "churn.onnx").write_bytes(LINEAR)
    sample = ["--sample", str(consumers.folder / "labels.parquet"), "--label", "spent"]
    model = ["--model", str(consumers.folder / "churn.onnx"), "--metric", "mae", *sample]
    done = consumers.add("value", *model, "--threshold", "0")
    assert done.exit_code == 0, done.stderr
    found, _ = consumers.team.json("contract", "check", "users", "2")
    (judged,) = found["contracts"]
    assert judged["what"].endswith(".onnx")
    assert judged["interval"] is not None
    assert 0 <= judged["shadow"]["flips"] < 0.2
