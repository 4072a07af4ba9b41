"""Asking a consumer's check or model about native and served vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import pandas as pd
import pyarrow as pa

from feast_bc.catalog.contract import Contract
from feast_bc.columns.arrays import Mask, Matrix
from feast_bc.contracts.bootstrap import paired_interval
from feast_bc.contracts.entry_point import load_check
from feast_bc.contracts.figures import Counts, Double, Figure, decisions_of, figure_of, mean_of
from feast_bc.contracts.judgement import Judgement, On, Shadow, shown
from feast_bc.contracts.linear_model import read_linear_model
from feast_bc.contracts.sample import Sample, read_sample
from feast_bc.errors import ContractError
from feast_bc.native.native_vectors import NativeVectors
from feast_bc.publishing.geometry import neighbour_overlap

FEWEST = 50
"""Fewer entities tell nothing: their resamples are too much alike."""

RESAMPLES, RESAMPLES_ASKED = 1000, 200
"""Where the figure follows from what was answered per entity, and where the check is asked anew."""

_INTEGERS = "integers"
_ROUNDING = 1e-9


@dataclass(frozen=True)
class _Told:
    """What was answered.

    Attributes:
        figures: one per matrix that was asked about.
        known: the entities of which something is known, shape `(n,)`.
        flipped: those of which the consumer decides otherwise, shape `(n,)`; None where nothing
            tells.
        resamples: how many of the entities can be afforded.
    """

    figures: Sequence[Figure]
    known: Mask
    flipped: Mask | None
    resamples: int


class Judge:
    """A contract with its check or model and its sample, ready to be asked.

    Args:
        contract: what is expected.
        files: the contents of its files, by their names.
        join_keys: of the embedding.
        key_kinds: of which kind each of them is, see `feast_bc.columns.entity_keys.key_kind`.
        dim: D_j.

    Attributes:
        contract: what is expected.
        sample: the entities that count; None for all.

    Raises:
        ContractError: the check cannot be imported, or a file is not what it has to be.
    """

    def __init__(
        self,
        contract: Contract,
        files: Mapping[str, bytes],
        *,
        join_keys: Sequence[str],
        key_kinds: Sequence[str],
        dim: int,
    ) -> None:
        self.contract = contract
        self.sample: Sample | None = None
        self._kinds = dict(zip(join_keys, key_kinds, strict=True))
        if contract.sample is not None:
            name = contract.sample.file
            self.sample = read_sample(files[name], contract, join_keys, of=f"sample {name}")
        self._ask = self._asked(files, dim)

    @classmethod
    def of(cls, contract: Contract, files: Mapping[str, bytes], native: NativeVectors) -> Judge:
        """The judge of a contract on a version whose vectors are these."""
        return cls(
            contract,
            files,
            join_keys=native.keys,
            key_kinds=native.contents.key_kinds,
            dim=native.dim,
        )

    def _asked(
        self, files: Mapping[str, bytes], dim: int
    ) -> Callable[[pd.DataFrame, Matrix], object]:
        model = self.contract.model
        if model is None:
            return load_check(self.contract.check or "")
        of = f"model {model.file}"
        if PurePath(model.file).suffix == ".onnx":
            from feast_bc.contracts.onnx_model import read_onnx_model

            predict = read_onnx_model(files[model.file], dim, of=of).predict
        else:
            predict = read_linear_model(files[model.file], dim, of=of).predict
        return lambda _, vectors: predict(vectors)

    def alone(self, keys: pa.Table, vectors: Matrix) -> float:
        """The figure on some vectors.

        Args:
            keys: join keys as text, `n` rows; those of the sample, where there is one.
            vectors: float32, shape `(n, D_j)`.

        Raises:
            ContractError: the check fails, or answers something else than it should.
        """
        told = self._told(keys, vectors)
        self._check_enough(told.known)
        return self._defined(told.figures[0](np.ones(len(vectors), np.int64)), "native")

    def compare(
        self,
        candidate: int,
        version: int,
        keys: pa.Table,
        native: Matrix,
        served: Matrix,
        on: On,
    ) -> Judgement:
        """The contract on native and on served vectors of the same entities.

        Args:
            candidate, version: k and j.
            keys: as for `alone`.
            native, served: z_j and z~_j, float32, shape `(n, D_j)`.
            on: which entities they are.

        Raises:
            ContractError: as `alone`.
        """
        contract, count = self.contract, len(native)
        told = self._told(keys, native, served)
        self._check_enough(told.known)

        def shadow(chosen: Mask) -> Shadow:
            some = chosen & told.known
            figures = [figure(chosen.astype(np.int64)) for figure in told.figures]
            flips = None if told.flipped is None or not some.any() else told.flipped[some].mean()
            return Shadow(
                entities=int(some.sum()),
                native=None if np.isnan(figures[0]) else figures[0],
                served=None if np.isnan(figures[1]) else figures[1],
                flips=None if flips is None else float(flips),
                neighbour_overlap=neighbour_overlap(native[some], served[some]),
            )

        everyone = shadow(np.ones(count, bool))
        before = self._defined(everyone.native, "native")
        after = self._defined(everyone.served, "served")
        before_of, after_of = told.figures
        interval = paired_interval(before_of, after_of, count, told.resamples, of=contract.what)
        return Judgement(
            candidate=candidate,
            version=version,
            consumer=contract.consumer,
            what=contract.what,
            terms=contract.terms,
            on=on,
            shadow=everyone,
            interval=interval,
            segments=self._by_segment(keys, shadow),
            failures=tuple(_failures(contract, after, after - before, interval)),
        )

    def _by_segment(
        self, keys: pa.Table, shadow: Callable[[Mask], Shadow]
    ) -> dict[str, Shadow] | None:
        if self.sample is None or self.sample.segment is None:
            return None
        segment = self.sample.segment[self.sample.places(keys)]
        return {shown(name): shadow(segment == name) for name in sorted(set(segment))}

    def _told(self, keys: pa.Table, *matrices: Matrix) -> _Told:
        """Ask about each matrix."""
        self._check_enough(np.ones(keys.num_rows, bool))
        contract, of = self.contract, self.contract.what
        entities = self._frame(keys)
        answers = [self._answer(entities, vectors) for vectors in matrices]
        known = np.ones(len(entities), bool)
        if len({np.ndim(each) > 0 for each in answers}) > 1:
            raise ContractError(f"{of} answers now one number, now one per entity.")
        if contract.metric is not None:
            if np.ndim(answers[0]) == 0:
                raise ContractError(
                    f"{of} answers one number; expected one score per entity for a metric."
                )
            if self.sample is None or self.sample.label is None:
                raise ContractError(f"{of}: its contract names no sample.")
            if not all(np.isfinite(each).all() for each in answers):
                raise ContractError(f"{of} gives scores that are NaN or infinite.")
            label = self.sample.label[self.sample.places(keys)]
            figures = [
                figure_of(contract.metric, each, label, contract.threshold, of=of)
                for each in answers
            ]
            flipped = _flipped(contract, answers[0], answers[-1], label)
            return _Told(figures, known, flipped, RESAMPLES)
        if np.ndim(answers[0]) == 0:
            asked = [self._anew(entities, each) for each in matrices]
            return _Told(asked, known, None, RESAMPLES_ASKED)
        if any(each.ndim > 1 for each in answers):
            raise ContractError(
                f"{of} answers arrays of shape {answers[0].shape}; expected one number, or "
                f"({len(entities)},)."
            )
        known = ~np.isnan(answers[0])
        if not all(np.array_equal(~np.isnan(each), known) for each in answers):
            raise ContractError(
                f"{of} answers NaN for other entities with served vectors than with native ones; "
                "expected NaN just where it knows nothing of an entity."
            )
        flipped = _flipped(contract, answers[0], answers[-1], None)
        return _Told([mean_of(each) for each in answers], known, flipped, RESAMPLES)

    def _anew(self, entities: pd.DataFrame, vectors: Matrix) -> Figure:
        """The figure of a check that answers one number: it is asked about each resample."""

        def figure(counts: Counts) -> float:
            rows = np.repeat(np.arange(len(counts)), counts)
            if not len(rows):
                return float("nan")
            answer = self._answer(entities.iloc[rows].reset_index(drop=True), vectors[rows])
            if np.ndim(answer):
                raise ContractError(f"{self.contract.what} answers now one number, now an array.")
            return float(answer)

        return figure

    def _answer(self, entities: pd.DataFrame, vectors: Matrix) -> Double:
        """What is answered, of shape `()`, `(n,)` or `(n, C)`."""
        of, count = self.contract.what, len(vectors)
        try:
            # Copies: whatever is done to them in there stays in there.
            answer = np.asarray(self._ask(entities.copy(), vectors.copy()), np.float64)
        except ContractError:
            raise
        except (Exception, SystemExit) as error:  # it is somebody's Python
            raise ContractError(
                f"{of} fails on {count} vectors of {vectors.shape[1]} dimensions "
                f"({type(error).__name__}: {shown(str(error))})."
            ) from error
        if answer.ndim > 2 or (answer.ndim and len(answer) != count):
            raise ContractError(
                f"{of} answers an array of shape {answer.shape} for {count} entities; expected "
                f"one number, or ({count},)."
            )
        if answer.ndim == 2 and answer.shape[1] == 1:
            answer = answer[:, 0]
        if np.isinf(answer).any():
            raise ContractError(f"{of} answers infinity; expected finite numbers.")
        return answer

    def _frame(self, keys: pa.Table) -> pd.DataFrame:
        """The join keys as columns, with the type that they have in the sources."""
        columns = {
            name: _integers(keys[name]) if kind == _INTEGERS else keys[name]
            for name, kind in self._kinds.items()
        }
        frame: pd.DataFrame = pa.table(columns).to_pandas()
        return frame

    def _check_enough(self, known: Mask) -> None:
        if known.sum() < FEWEST:
            raise ContractError(
                f"{self.contract.what} knows {int(known.sum())} of the entities that both versions "
                f"have; expected at least {FEWEST}, for fewer tell nothing. Take a larger sample."
            )

    def _defined(self, figure: float | None, of: str) -> float:
        if figure is None or np.isnan(figure):
            raise ContractError(
                f"{self.contract.what} has no figure on {of} vectors: it is NaN. Does the sample "
                "have entities of each label?"
            )
        return figure


def _integers(keys: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return keys.cast(pa.int64())
    except pa.ArrowInvalid:  # above 2**63
        return keys.cast(pa.uint64())


def _flipped(
    contract: Contract, native: Double, served: Double, label: Double | None
) -> Mask | None:
    decided = decisions_of(contract.metric, native, served, label, contract.threshold)
    return None if decided is None else np.asarray(decided[0] != decided[1])


def _failures(
    contract: Contract, served: float, difference: float, interval: tuple[float, float]
) -> list[str]:
    """Why a contract does not hold."""
    less = contract.less_is_better
    told = f"served vectors give {served:.4f}"
    failures = []
    limit = contract.limit
    if limit is not None and (served > limit if less else served < limit):
        failures.append(f"{told}, expected at {'most' if less else 'least'} {limit:g}")
    worst = interval[1] if less else -interval[0]
    if worst > contract.tolerance + _ROUNDING:
        failures.append(
            f"{told}, a difference of {difference:+.4f} (95 % interval {interval[0]:+.4f} to "
            f"{interval[1]:+.4f}) from native ones; expected {contract.tolerance:g} "
            f"{'more' if less else 'less'} at most, and the interval not to reach beyond"
        )
    return failures
