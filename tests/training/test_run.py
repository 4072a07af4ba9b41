"""A tiny experiment from end to end: what must be true of the methods, and of a run."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from tests.support.presence import there
from training.comparison.comparisons import (
    FROZEN_VECTORS,
    NATIVE_TODAY,
    RETRAINED_CONSUMER,
    TWIN_MAPPED,
)
from training.comparison.degradation import frame, intended, unintended
from training.comparison.experiment import Experiment, read_experiment
from training.comparison.results import write_results
from training.comparison.row import (
    ASYMMETRIC,
    AUROC,
    BACKFILL,
    CENTRED,
    ERROR,
    FROZEN,
    LARGEST,
    MAP_PARAMETERS,
    PEAK_RSS,
    RECALL,
    RETRAINED,
    SECONDS,
    SMALLEST,
    VECTOR_BYTES,
    Row,
)
from training.comparison.run import Run
from training.interactions.interactions import Interactions
from training.versions.methods import KEEP_ALL, METHODS

TINY = Experiment(
    name="tiny",
    methods=tuple(METHODS),
    tasks=("spend", "item_price"),
    quantiles=(0.55, 0.7, 0.85, 1.0),
    consumers=("logistic", "boosting"),
    consumer_versions=(0, 1),
    dims=(6, 8, 10),
    schedule={"epochs": 12, "batch": 64},
    seeds=1,
)
Rows = dict[tuple[int, str], list[Row]]


def _quiet(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs") / "tiny"


@pytest.fixture(scope="module")
def rows(shop: Interactions, folder: Path) -> Rows:
    return Run(TINY, shop, folder, _quiet)(TINY.methods, 1)


def _mean(rows: list[Row], measure: str, task: str | None = None) -> float:
    chosen = [r.value for r in rows if (r.measure, r.serves, r.task) == (measure, 0, task)]
    return float(np.mean(chosen))


def _lasting(rows: list[Row]) -> list[Row]:
    """Without what differs when a version is trained again."""
    return [row for row in rows if row.measure not in (SECONDS, PEAK_RSS)]


def test_identity_costs_exactly_nothing(rows: Rows) -> None:
    found = frame(rows)
    for name in ("Fix-M0", KEEP_ALL):
        assert (unintended(found, TINY.tasks, "boosting")[name] == 0).all()
        one = found[(found["method"] == name) & found["measure"].isin([ERROR, CENTRED])]
        assert len(one) > 0
        assert (one["value"] == 0).all()
    for name in ("NoBC", KEEP_ALL, "Post-Lin-SLoss", "Post-Lin-MLoss", "Post-Least-Squares"):
        assert (intended(found)[name] == 0).all()


def test_all_methods_share_version_0(rows: Rows, folder: Path) -> None:
    digests = {json.loads(path.read_text())["m0"] for path in folder.glob("seed0/*/v*.json")}
    assert len(digests) == 1
    assert len({some[0].value for some in rows.values()}) == 1


def test_bc_aligner_aligns_and_serves_better_than_nothing(rows: Rows) -> None:
    aligned, raw = rows[0, "BC-Aligner"], rows[0, "NoBC"]
    assert _mean(aligned, CENTRED) < _mean(raw, CENTRED)
    assert _mean(aligned, AUROC, "spend") > _mean(raw, AUROC, "spend")


def test_least_squares_aligns_better_than_what_the_paper_fits_afterwards(rows: Rows) -> None:
    fitted = _mean(rows[0, "Post-Least-Squares"], CENTRED)
    assert fitted < _mean(rows[0, "Post-Lin-SLoss"], CENTRED)


def _value(rows: list[Row], version: int, measure: str, serves: int | None = None) -> float:
    (row,) = (r for r in rows if (r.version, r.measure, r.serves) == (version, measure, serves))
    return row.value


def test_the_twin_is_one_model_of_the_oldest_data(rows: Rows, folder: Path) -> None:
    twin = load_file(folder / "seed0" / "Twin-M0.safetensors")
    oldest = load_file(folder / "seed0" / "M0.safetensors")
    assert twin["inputs"].shape == oldest["inputs"].shape
    assert (twin["inputs"] != oldest["inputs"]).all()
    for family in ("user_embedding", "item_embedding"):
        first, second = (
            load_file(folder / "seed0" / "Twin" / f"v{k}.safetensors")[f"{family}.weight"]
            for k in (1, 2)
        )
        assert first.shape == second.shape == (6, 6)
        assert np.abs(first - np.eye(6)).max() > 0.1
        assert (second == np.eye(6)).all()
    assert _mean(rows[0, "Twin"], CENTRED) < _mean(rows[0, "NoBC"], CENTRED)


def test_a_long_training_is_another_model(rows: Rows, folder: Path) -> None:
    for k in (1, 2):
        long = load_file(folder / "seed0" / f"Post-Least-Squares-Long-M{k}.safetensors")
        plain = load_file(folder / "seed0" / f"NoBC-M{k}.safetensors")
        assert long["inputs"].shape == plain["inputs"].shape
        assert (long["inputs"] != plain["inputs"]).any()
    loss = intended(frame(rows))
    assert loss.loc[0, "Post-Least-Squares"] == 0 != loss.loc[0, "Post-Least-Squares-Long"]


def test_what_old_consumers_are_compared_with(rows: Rows) -> None:
    kept = {row.measure for row in rows[0, "Fix-M0"]}
    assert FROZEN in kept
    assert RETRAINED in {row.measure for row in rows[0, "NoBC"]}
    for measure in (FROZEN, RETRAINED):  # the references alone have them
        assert measure not in {row.measure for row in rows[0, "BC-Aligner"]}
    served = {
        (row.task, row.consumer): row.value
        for row in rows[0, "BC-Aligner"]
        if (row.measure, row.version, row.serves) == (AUROC, 2, 0)
    }
    whole = {
        (row.task, row.consumer): row.value
        for row in rows[0, "BC-Aligner"]
        if (row.measure, row.share) == (BACKFILL, 1.0)
    }
    assert whole == served
    (recall,) = (r for r in rows[0, "Fix-M0"] if (r.version, r.measure) == (2, RECALL))
    (mixed,) = (r for r in rows[0, "Fix-M0"] if (r.version, r.measure) == (2, ASYMMETRIC))
    assert mixed.value == pytest.approx(recall.value)
    assert np.mean(there(recall.resampled)) == pytest.approx(recall.value, abs=0.02)


def test_costs(rows: Rows) -> None:
    for (_, name), some in rows.items():
        seconds = [row.value for row in some if row.measure == SECONDS]
        assert len(seconds) == len(TINY.dims), name
        assert seconds[0] == _value(rows[0, "Fix-M0"], 0, SECONDS)  # M_0 is everyone's
        assert all(row.value > 10 * 2**20 for row in some if row.measure == PEAK_RSS)
    for k in (1, 2):  # what is fitted afterwards needs NoBC's model first
        fitted = _value(rows[0, "Post-Lin-SLoss"], k, SECONDS)
        assert fitted > _value(rows[0, "NoBC"], k, SECONDS)
    aligned = rows[0, "BC-Aligner"]
    assert _value(aligned, 2, MAP_PARAMETERS) == 2 * 10 * 8
    assert _value(rows[0, "BC-Aligner-Refit"], 2, MAP_PARAMETERS) == 2 * (10 * 8 + 8)
    assert _value(rows[0, "Joint-NoTrans"], 2, MAP_PARAMETERS) == 0
    newest, oldest = (_value(aligned, 2, VECTOR_BYTES, j) for j in (2, 0))
    assert newest / oldest == 10 / 6


def test_singular_values_of_hops_and_chains(rows: Rows, folder: Path) -> None:
    state = load_file(folder / "seed0" / "BC-Aligner" / "v2.safetensors")
    hop = np.linalg.svd(state["user_embedding.weight"], compute_uv=False)
    found = {
        (row.measure, row.serves): row.value
        for row in rows[0, "BC-Aligner"]
        if row.version == 2 and row.family == "user_embedding"
    }
    assert found[LARGEST, 1] == pytest.approx(hop[0])
    assert found[SMALLEST, 1] == pytest.approx(hop[-1])
    assert found[LARGEST, 0] >= found[SMALLEST, 0] > 0
    kept = [row for row in rows[0, "Fix-M0"] if row.measure in (LARGEST, SMALLEST)]
    assert {row.value for row in kept} == {1.0}


def test_a_stopped_run_goes_on_to_the_same_results(
    shop: Interactions, rows: Rows, folder: Path
) -> None:
    methods = ("NoBC", "BC-Aligner", "Finetune-M0")
    expected = {key: some for key, some in rows.items() if key[1] in (*methods, "Fix-M0", "Twin")}
    # As if it had been killed in different places.
    (folder / "seed0" / "BC-Aligner" / "v1.json").unlink()
    (folder / "seed0" / "BC-Aligner" / "v2.safetensors").unlink()
    (folder / "seed0" / "BC-Aligner" / "v2.json").unlink()
    (folder / "seed0" / "Finetune-M0-M2.safetensors").unlink()
    (folder / "seed0" / "Finetune-M0" / "v2.json").unlink()
    done: list[str] = []
    again = Run(TINY, shop, folder, done.append)(methods, 1)
    assert {key: _lasting(some) for key, some in again.items()} == {
        key: _lasting(some) for key, some in expected.items()
    }
    assert [line.split(":")[0] for line in done] == [
        "seed 0, BC-Aligner, v1",
        "seed 0, BC-Aligner, v2",
        "seed 0, Finetune-M0, v2",
    ]


def test_a_folder_of_other_settings_is_refused(
    shop: Interactions, rows: Rows, folder: Path
) -> None:
    other = Experiment(**{**vars(TINY), "half_life_days": 7})
    with pytest.raises(ValueError, match="other settings"):
        Run(other, shop, folder, _quiet)


def test_results_of_another_m0_are_refused(shop: Interactions, rows: Rows, folder: Path) -> None:
    path = folder / "seed0" / "NoBC" / "v0.json"
    text = path.read_text()
    path.write_text(json.dumps({**json.loads(text), "m0": "0"}))
    with pytest.raises(ValueError, match="belongs to another M_0"):
        Run(TINY, shop, folder, _quiet)(["NoBC"], 1)
    path.write_text(text)


def test_a_version_does_not_know_its_future(
    shop: Interactions, folder: Path, rows: Rows, tmp_path: Path
) -> None:
    """Whatever is shuffled after the end of version 1 leaves versions 0 and 1 as they are."""
    end = TINY.slices(shop)[1].end
    later = np.flatnonzero(shop.timestamp > end)
    shuffled = np.random.default_rng(0).permutation(later)
    user, item = shop.user.copy(), shop.item.copy()
    user[later], item[later] = shop.user[shuffled], shop.item[np.roll(shuffled, 1)]
    other = Interactions(**{**vars(shop), "user": user, "item": item})
    Run(TINY, other, tmp_path / "other", _quiet)(["BC-Aligner"], 1)
    for name in ("M0", "NoBC-M1", "BC-Aligner-M1", "BC-Aligner/v1"):
        path = Path("seed0") / f"{name}.safetensors"
        assert (folder / path).read_bytes() == (tmp_path / "other" / path).read_bytes()
    path = Path("seed0") / "BC-Aligner-M2.safetensors"
    assert (folder / path).read_bytes() != (tmp_path / "other" / path).read_bytes()


def test_results_are_written(shop: Interactions, rows: Rows, folder: Path) -> None:
    text = write_results(folder, rows, Run(TINY, shop, folder, _quiet).baselines())
    assert text == (folder / "results.md").read_text()
    for name in (*METHODS, KEEP_ALL, "most popular", "item-kNN"):
        assert f"| {name} |" in text
    assert re.search("The encoder beats most-popular|WARNING: the encoder does not beat", text)
    for name in (NATIVE_TODAY, FROZEN_VECTORS, TWIN_MAPPED, RETRAINED_CONSUMER):
        assert text.count(f"| {name} |") == len(TINY.consumers)
    assert pq.read_table(folder / "results.parquet").num_rows > 100


def test_results_where_no_task_counts(rows: Rows, tmp_path: Path) -> None:
    weak = {
        key: [replace(row, native=0.5) if row.measure == AUROC else row for row in some]
        for key, some in rows.items()
    }
    plain = {"most popular": [row for row in rows[0, "NoBC"] if row.measure == RECALL]}
    text = write_results(tmp_path, weak, plain)
    assert text.count("BELOW THE GATE") == len(TINY.tasks) * len(TINY.consumers)
    assert re.search(r"\| BC-Aligner \| -?[\d.]+ ± [\d.]+( \| n/a){8} \|", text)
    assert re.search(r"\| BC-Aligner \|( n/a \|){3} \*\(", text)  # each task is told all the same
    assert "WARNING: the encoder does not beat most popular" in text
    assert "No task counts." in text


def test_unknown_names_are_refused(shop: Interactions, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No method 'Magic'"):
        Run(TINY, shop, folder, _quiet)(["Magic"], 1)
    with pytest.raises(ValueError, match="'item_list_price' asks for item attributes"):
        Run(replace(TINY, tasks=("item_list_price",)), shop, tmp_path, _quiet)
    for wrong in ({"tasks": ("luck",)}, {"consumers": ("oracle",)}):
        with pytest.raises(ValueError, match=r"No task 'luck'|No consumer 'oracle'"):
            Run(Experiment(**{**vars(TINY), **wrong}), shop, tmp_path, _quiet)


EXPERIMENTS = sorted((Path(__file__).parents[2] / "training" / "experiments").glob("*.yaml"))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_the_experiments_can_be_read(path: Path) -> None:
    said = read_experiment(path)
    assert said.name == path.stem
    assert set(said.methods) <= set(METHODS)
    said.training(0)


def test_a_yaml_with_unknown_keys_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_text("methods: []\ntasks: []\nhalf_live: 3\n")
    with pytest.raises(ValueError, match="found methods, tasks, half_live"):
        read_experiment(path)


def test_given_data_must_be_given() -> None:
    with pytest.raises(ValueError, match="--data or FEAST_BC_DATA"):
        Experiment("some", (), (), data="given").interactions()
    with pytest.raises(ValueError, match="--items or FEAST_BC_ITEMS"):
        Experiment("some", (), (), items="given").interactions()
