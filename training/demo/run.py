"""The main job on real data: three versions, one consumer model that is never retrained."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from feast_bc.transforms.artifact import save_artifact
from feast_bc.transforms.holdout import Holdout
from training.demo.evaluation import (
    evaluate_intended,
    evaluate_unintended,
)
from training.demo.picture import draw
from training.demo.shop import Shop
from training.demo.table import table
from training.encoders.schedule import Schedule
from training.interactions.interactions import load
from training.interactions.slices import slice_by_count
from training.tasks.consumer import train_consumer, will_spend
from training.versions.alignment import Alignment, evaluate_alignment, summary
from training.versions.release import KEYS, write_native
from training.versions.version import Version, choose_epochs, train_versions

DIMS = (32, 48, 64)
VIEW = "user_embedding_v0"  # all that the consumer ever names


def run(folder: Path, say: Callable[[str], None]) -> None:
    """Run the whole demo; everything it writes goes under `folder`, which is replaced.

    The story, in the data's time: version k is trained at the end of slice k. The consumer team
    trains its model at the end of slice 0, on `user_embedding_v0`. At the end of slice 2 the
    newest version is 2, and the same model is judged on what users do afterwards.

    Args:
        folder: takes everything; it may hold an earlier demo, and nothing else.
        say: takes a line per stage.

    Raises:
        ValueError: the folder holds something else.
        RuntimeError: a command failed, or online and offline vectors differ.
    """
    log = folder / "commands.log"
    if folder.exists() and not log.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} holds files that no demo wrote; name another folder.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shop = Shop.create(folder / "feature_repo", log)
    holdout = Holdout()

    interactions = load()
    slices = slice_by_count(interactions.purchases().timestamp)
    say(
        f"Online Retail II: {len(interactions):,} rows, {len(interactions.user_ids):,} users, "
        f"{len(interactions.item_ids):,} items"
    )
    epochs = choose_epochs(interactions, slices[0], DIMS[0], Schedule())
    say(f"{epochs} epochs, chosen on the validation window of v0")
    schedule = replace(Schedule(), epochs=epochs)
    versions: list[Version] = []
    for version in train_versions(interactions, slices, DIMS, schedule, holdout):
        versions.append(version)
        say(f"v{version.number} trained, {version.encoder.dim} dimensions")
    aligned = [
        entry
        for newest in range(1, len(versions))
        for entry in evaluate_alignment(versions[: newest + 1], holdout)
    ]
    _write_artifacts(versions, aligned, holdout, folder)
    say("alignment measured, transformations written")

    first, last = versions[0].past, versions[-1].past
    beginning = interactions.timestamp[0]
    _release(shop, folder, versions[:1])
    shop.apply()
    shop.materialize(beginning, first.instant)
    say("v0 published, applied, materialized")
    labels = will_spend(
        interactions.between(slices[0].end, slices[0].test_end), len(first.user_ids)
    )
    consumer = train_consumer(shop.offline(VIEW, first.user_ids, first.instant), labels)
    say(f"consumer model trained on {VIEW}, {len(labels):,} users")

    for newest in range(1, len(versions)):
        _release(shop, folder, versions[: newest + 1])
        say(f"v{newest} published, through the quality gate, active")
    shop.apply()
    shop.materialize(beginning, last.instant)
    say("applied, materialized: v0 and v1 now come from v2's vectors")
    served = shop.online(VIEW, last.user_ids)
    offline = shop.offline(VIEW, last.user_ids, last.instant)
    say(f"{VIEW} read online and offline, {len(served):,} users")

    unintended = evaluate_unintended(
        consumer, will_spend, versions, served, interactions, slices[-1]
    )
    intended = [evaluate_intended(v, versions[0], interactions, slices[v.number]) for v in versions]
    say("evaluated")
    difference = float(np.abs(served - offline).max())
    print(table(intended, aligned, unintended, difference))
    if difference > 1e-4:
        raise RuntimeError(f"{VIEW} differs by {difference:.1e} between online and offline.")
    print(f"Picture: {draw(folder / 'result.png', intended, unintended)}")


def _write_artifacts(
    versions: Sequence[Version], aligned: Sequence[Alignment], holdout: Holdout, folder: Path
) -> None:
    """Every B_k with its metrics, to `<embedding>/b<k>/`."""
    for version in versions[1:]:
        k = version.number
        for family, transform in version.backward.items():
            metrics = dict(summary(aligned, family, k, k - 1))
            save_artifact(transform, folder / family / f"b{k}", holdout=holdout, metrics=metrics)


def _release(shop: Shop, folder: Path, versions: Sequence[Version]) -> None:
    """Publish the last of these versions, and activate it from the instant of its vectors.

    Its predecessors are run once more at that instant. So the quality gate compares the vectors of
    the same entities at the same instant, not with what they were one slice ago.
    """
    newest = versions[-1].number
    for family, key in KEYS.items():
        base = folder / family
        for version in versions:
            pasts = [later.past for later in versions[version.number :]]
            write_native(base / f"v{version.number}.parquet", family, version, pasts)
        artifact = base / f"b{newest}" if newest else None
        shop.publish(family, newest, base / f"v{newest}.parquet", key, artifact)
        if newest:
            shop.activate(family, newest, versions[-1].past.instant)
