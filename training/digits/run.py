"""Two consumer models of version 0, through three updates of an image encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from feast_bc.publishing.centred_error import centred_error
from feast_bc.publishing.probe_suite import probe_suite
from feast_bc.transforms.holdout import Holdout
from training.digits.images import KNOWN, Images, load_images
from training.digits.versions import (
    METHODS,
    NO_MAP,
    Vectors,
    Version,
    chain_to_0,
    fit_afterwards,
    train_version,
)
from training.tasks.consumer import auroc, train_consumer

EPOCHS = 150
SEEDS = 3
NATIVE, TWIN = "native v0, run today", "twin: another seed's M_0, mapped"
_TWIN_SEED = 900


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Attributes:
        version: k.
        name: a method, or a reference.
        accuracy: of the version's own head on the judged images; None for references.
        odd, heavy: AUROC of version 0's consumers: logistic, and gradient boosting.
        r_squared: of the chain to version 0, judged images.
        probes: the smallest agreement of any kind of probe consumer.
    """

    version: int
    name: str
    accuracy: float | None
    odd: float
    heavy: float
    r_squared: float
    probes: float


def run(say: Callable[[str], None], *, seeds: int = SEEDS, epochs: int = EPOCHS) -> list[Line]:
    """Train every method, and judge; prints the table of means over seeds.

    Args:
        say: takes a line per stage.
        seeds: how many.
        epochs: full passes over the images known.
    """
    images = load_images()
    say(f"{len(images.digits)} images; versions know the first {', '.join(map(str, KNOWN))}")
    found: list[Line] = []
    for seed in range(seeds):
        found += _one_seed(images, seed, epochs)
        say(f"seed {seed} trained and judged")
    print(table(found))
    return found


def _one_seed(images: Images, seed: int, epochs: int) -> Iterator[Line]:
    holdout = Holdout()

    def trained(older: Sequence[Version], method: str, drawn: int) -> Version:
        return train_version(
            images, older, method, seed=1000 * seed + drawn, epochs=epochs, holdout=holdout
        )

    oldest = trained([], NO_MAP, 0)
    native, judged = oldest.vectors(images), images.judged
    learned = np.arange(len(judged)) < KNOWN[0]
    odd = train_consumer(native[learned], images.odd()[learned], "logistic")
    heavy = train_consumer(native[learned], images.heavy()[learned], "boosting")

    def line(k: int, name: str, served: Vectors, by: Version | None) -> Line:
        error = centred_error(served[judged], native[judged])
        agreement = probe_suite(native, served, judged=judged).agreement
        return Line(
            k,
            name,
            None if by is None else _share(by.digits(images)[judged] == images.digits[judged]),
            auroc(odd, served[judged], images.odd()[judged]),
            auroc(heavy, served[judged], images.heavy()[judged]),
            float("nan") if error is None else 1 - error**2,
            float("nan") if agreement is None else agreement,
        )

    yield line(0, NATIVE, native, oldest)
    other = trained([], NO_MAP, _TWIN_SEED)
    fit = learned & ~holdout.contains(range(len(learned)))
    back = fit_afterwards(other.vectors(images), native, fit, 1)
    yield line(0, TWIN, back.apply(other.vectors(images)), None)
    for method in METHODS:
        versions = [oldest]
        for k in range(1, len(KNOWN)):
            versions.append(trained(versions, method, k))
            served = chain_to_0(versions).apply(versions[k].vectors(images))
            yield line(k, method, served, versions[k])


def table(lines: Sequence[Line]) -> str:
    """Means over seeds, one line per version and method."""
    groups: dict[tuple[str, int], list[Line]] = {}
    for line in lines:
        groups.setdefault((line.name, line.version), []).append(line)
    out = [
        "",
        "Handwritten digits: two frozen consumers of v0 get each newer version served as v0",
        f"  {'':34} {'digits':>8} {'odd?':>8} {'ink?':>8}   R^2 to v0   probes",
        f"  {'':34} {'accuracy':>8} {'logistic':>8} {'boosting':>8}",
    ]
    for (name, version), some in groups.items():
        label = f"v{version}, {name}" if version else name
        out.append(
            f"  {label:34} {_mean([x.accuracy for x in some])} {_mean([x.odd for x in some])} "
            f"{_mean([x.heavy for x in some])}    {_mean([x.r_squared for x in some])} "
            f"{_mean([x.probes for x in some])}"
        )
    return "\n".join(out)


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{np.mean(known):8.3f}" if known else f"{'':8}"


def _share(right: npt.NDArray[np.bool_]) -> float:
    return float(right.mean())
