"""What holds for every encoder: alone, in a fit, and in an experiment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from feast_bc.transforms.holdout import Holdout
from training.comparison.experiment import Experiment
from training.comparison.row import AUROC, CENTRED, CENTRED_HELD_OUT, RECALL, Row
from training.comparison.run import Run
from training.encoders.encoder import ITEMS, USERS, Encoder
from training.encoders.recipe import Recipe
from training.encoders.schedule import Schedule
from training.interactions.history import History, history
from training.interactions.interactions import Interactions
from training.versions.methods import METHODS, NO_BC
from training.versions.trainer import fit
from training.versions.version import train_version

OPTIONS = {
    "fold_in": {},
    "graphsage": {"layers": (1, 2)},
    "lightgcn": {"layers": (1, 2)},
    "matrix_factorisation": {},
}
PAIRS = [name for name in OPTIONS if name != "fold_in"]
SCHEDULE = Schedule(epochs=10, batch=1024, learning_rate=0.03, weight_decay=0.0, masked=0.0)
FOLD_IN = Schedule(epochs=3, batch=64)


def _schedule(name: str) -> Schedule:
    return FOLD_IN if name == "fold_in" else SCHEDULE


def _fitted(name: str, past: History, **changes: Any) -> Encoder:
    encoder = Recipe.of(name, OPTIONS[name]).fresh(past, 1, 8, seed=0)
    fit(encoder, past, replace(_schedule(name), epochs=3, **changes))
    return encoder


@pytest.mark.parametrize("name", OPTIONS)
def test_vectors_of_all_entities_also_of_later_ones(
    name: str, early: History, later: History
) -> None:
    encoder = _fitted(name, early)
    assert encoder.dim == 8
    for past in (early, later):
        for vectors, known, count in zip(
            (encoder.users(past), encoder.items(past)),
            (encoder.knows_users(past), encoder.knows_items(past)),
            past.bought.shape,
            strict=True,
        ):
            assert vectors.shape == (count, 8)
            assert vectors.dtype == torch.float32
            assert not vectors.requires_grad
            assert torch.isfinite(vectors).all()
            assert known.shape == (count,)
            assert known.dtype == torch.bool


@pytest.mark.parametrize("name", OPTIONS)
def test_a_restored_encoder_is_the_same(name: str, early: History, later: History) -> None:
    encoder = _fitted(name, early)
    again = Recipe.of(name, OPTIONS[name]).restored(encoder.state_dict())
    for past in (early, later):
        assert torch.equal(again.users(past), encoder.users(past))
        assert torch.equal(again.items(past), encoder.items(past))


@pytest.mark.parametrize("name", OPTIONS)
def test_mapped_users_rank_the_items_of_the_version_before(
    name: str, early: History, later: History
) -> None:
    """The cross-version loss: without any other alignment, the two versions rank together."""
    recipe, schedule = Recipe.of(name, OPTIONS[name]), _schedule(name)
    joint = replace(METHODS["BC-Aligner-Across"], refit=False, weight=0.0)

    def served(weight: float) -> float:
        """How much better mapped users score what they bought than the mean item does."""
        first = train_version(NO_BC, [], early, 8, schedule, Holdout(), recipe=recipe)
        method = replace(joint, across=weight)
        second = train_version(method, [first], later, 8, schedule, Holdout(), recipe=recipe)
        items = first.encoder.scored_items(later).numpy()
        users = second.backward[USERS].apply(second.encoder.users(later).numpy())
        scores = users @ items.T
        bought = later.bought[:, : len(items)].toarray() > 0
        return float((scores[bought].mean() - scores.mean()) / scores.std())

    assert served(1.0) > served(0.0) + 0.1


@pytest.mark.parametrize("masked", [0.0, 0.5])
@pytest.mark.parametrize("name", PAIRS)
def test_a_seed_fits_the_same(name: str, masked: float, later: History) -> None:
    one, two = (_fitted(name, later, masked=masked) for _ in range(2))
    other = _fitted(name, later, masked=masked, seed=1)
    assert torch.equal(one.users(later), two.users(later))
    assert not torch.equal(one.users(later), other.users(later))


def test_bfloat16_comes_near(later: History) -> None:
    full, half = (_fitted("graphsage", later, bf16=bf16).users(later) for bf16 in (False, True))
    assert not torch.equal(full, half)
    assert torch.nn.functional.cosine_similarity(full, half).mean() > 0.95


def test_matrix_factorisation_masks_who_has_no_previous_vector(
    early: History, later: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stands in for the unknown, the fit of version 1 does not see it."""
    recipe = Recipe.of("matrix_factorisation", {})
    schedule = replace(SCHEDULE, epochs=2)
    method = METHODS["BC-Aligner"]
    zero = train_version(method, [], early, 6, schedule, Holdout(), recipe=recipe)

    def first() -> np.ndarray:
        one = train_version(method, [zero], later, 8, schedule, Holdout(), recipe=recipe)
        return np.concatenate([one.backward[family].weight for family in (USERS, ITEMS)])

    expected = first()
    stand_in: Any = zero.encoder.vectors
    known = early.bought.shape

    def moved(past: History) -> tuple[torch.Tensor, torch.Tensor]:
        users, items = stand_in(past)
        users[known[0] :], items[known[1] :] = torch.nan, torch.nan
        return users, items

    monkeypatch.setattr(zero.encoder, "vectors", moved)
    np.testing.assert_array_equal(first(), expected)


Rows = dict[tuple[int, str], list[Row]]


def _tiny(name: str) -> Experiment:
    own = vars(_schedule(name))
    kept = ("batch", "learning_rate", "weight_decay", "masked")
    return Experiment(
        name=name,
        methods=("NoBC", "BC-Aligner"),
        tasks=("spend",),
        quantiles=(0.55, 0.7, 0.85, 1.0),
        consumer_versions=(0,),
        dims=(6, 8, 10),
        encoder=name,
        encoder_options=OPTIONS[name],
        schedule={**{key: own[key] for key in kept}, "epochs": 12},
        seeds=1,
    )


@pytest.fixture(scope="module", params=PAIRS)
def experiment(request: pytest.FixtureRequest) -> Experiment:
    return _tiny(request.param)


@pytest.fixture(scope="module")
def folder(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs") / experiment.name


@pytest.fixture(scope="module")
def rows(experiment: Experiment, shop: Interactions, folder: Path) -> Rows:
    return Run(experiment, shop, folder, lambda _: None)(["Finetune-M0", "BC-Aligner"], 1)


def _mean(rows: list[Row], measure: str) -> float:
    return float(np.mean([row.value for row in rows if row.measure == measure]))


def test_the_alignment_shrinks_the_error(rows: Rows) -> None:
    aligned, raw = rows[0, "BC-Aligner"], rows[0, "NoBC"]
    for measure in (CENTRED, CENTRED_HELD_OUT):
        assert _mean(aligned, measure) < _mean(raw, measure)
    assert _mean(aligned, AUROC) > _mean(raw, AUROC)


def test_the_encoder_beats_most_popular(
    experiment: Experiment, shop: Interactions, folder: Path, rows: Rows
) -> None:
    plain = Run(experiment, shop, folder, lambda _: None).baselines()
    assert _mean(rows[0, "NoBC"], RECALL) > _mean(plain["most popular"], RECALL)


def test_a_stopped_run_goes_on_to_the_same_results(
    experiment: Experiment, shop: Interactions, folder: Path, rows: Rows
) -> None:
    (folder / "seed0" / "BC-Aligner" / "v2.safetensors").unlink()
    (folder / "seed0" / "BC-Aligner" / "v2.json").unlink()
    again = Run(experiment, shop, folder, lambda _: None)(["BC-Aligner"], 1)[0, "BC-Aligner"]
    fixed = [row for row in again if row.measure in (RECALL, CENTRED, AUROC)]
    before = [row for row in rows[0, "BC-Aligner"] if row.measure in (RECALL, CENTRED, AUROC)]
    assert fixed == before


def test_a_version_does_not_know_its_future(
    experiment: Experiment, shop: Interactions, folder: Path, rows: Rows, tmp_path: Path
) -> None:
    """Whatever is shuffled after the end of version 1 leaves versions 0 and 1 as they are."""
    later = np.flatnonzero(shop.timestamp > experiment.slices(shop)[1].end)
    user, item = shop.user.copy(), shop.item.copy()
    shuffled = np.random.default_rng(0).permutation(later)
    user[later], item[later] = shop.user[shuffled], shop.item[np.roll(shuffled, 1)]
    other = replace(shop, user=user, item=item)
    Run(experiment, other, tmp_path / "other", lambda _: None)(["BC-Aligner"], 1)
    for name in ("M0", "NoBC-M1", "BC-Aligner-M1", "BC-Aligner/v1"):
        path = Path("seed0") / f"{name}.safetensors"
        assert (folder / path).read_bytes() == (tmp_path / "other" / path).read_bytes()


def test_later_tokens_do_not_move_earlier_ones(shop: Interactions) -> None:
    early, later = (history(shop, shop.timestamp[at]) for at in (60, len(shop) - 1))
    known = len(early.item_ids)
    assert np.array_equal(early.item_tokens["id"], later.item_tokens["id"][:known])
