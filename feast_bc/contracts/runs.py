"""Running the contracts on the older versions for a candidate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from feast.repo_config import RepoConfig

from feast_bc.catalog.contract import Contract
from feast_bc.catalog.files import CatalogFiles
from feast_bc.catalog.published_version import PublishedVersion, pick
from feast_bc.catalog.shelf import Shelf, read_contract_file
from feast_bc.columns.arrays import Matrix
from feast_bc.contracts.judge import FEWEST, Judge
from feast_bc.contracts.judgement import ALL, HELD_OUT, Judgement
from feast_bc.errors import FeastBCError
from feast_bc.native.native_vectors import NativeVectors
from feast_bc.publishing.common_entities import CommonEntities, common_entities
from feast_bc.publishing.measurement import (
    Natives,
    Stages,
    chains_over,
    read_natives,
    silent,
)
from feast_bc.transforms import BackwardTransform
from feast_bc.transforms.holdout import Holdout


@dataclass(frozen=True)
class _Run:
    """A contract that can be run: by whom, on which version and entities."""

    judge: Judge
    version: int
    native: NativeVectors
    common: CommonEntities


@dataclass(frozen=True)
class Correction:
    """A transformation that is to take the place of a published one.

    Attributes:
        transform: B_k.
        holdout: which entities its fit did not see, if that is known.
        natives: of all versions, as they were read to measure it.
    """

    transform: BackwardTransform
    holdout: Holdout | None
    natives: Natives


def contracts_below(shelf: Shelf, version: int) -> list[tuple[PublishedVersion, Contract]]:
    """The contracts that an activation of version k runs: of every older version that is offered.

    Raises:
        UnknownVersionError: no such version.
    """
    pick(shelf.versions, version)
    return [
        (older, contract)
        for older in shelf.versions[:version]
        if not older.retired
        for contract in older.contracts
    ]


def run_contracts(
    shelf: Shelf,
    files: CatalogFiles,
    version: int,
    *,
    config: RepoConfig | None = None,
    stages: Stages = silent,
    correction: Correction | None = None,
) -> list[Judgement]:
    """Run every contract on native v_j and on what the chain k -> j makes of native v_k.

    The newest rows of the entities that both versions have are looked at, 100,000 at most, or
    those of them in the contract's sample; of these the ones that the fit of B_k has not seen,
    where they are `FEWEST` at least. What cannot be run does not hold.

    Args:
        shelf: the versions and their contracts.
        files: the catalog's files.
        version: the candidate k.
        config: the feature repo's configuration, for sources that are not parquet files.
        stages: tells progress.
        correction: run them as if it counted already, and only those that it concerns.

    Raises:
        UnknownVersionError: no such version.
        ArtifactError: a transformation of the chain is not what was published.
    """
    wanted = contracts_below(shelf, version)
    if correction is not None:
        concerned = correction.transform.from_version
        wanted = [(older, contract) for older, contract in wanted if older.version < concerned]
    if not wanted:
        return []
    if correction is not None:
        natives = correction.natives
    else:
        read = {older.version: older for older, _ in wanted}
        natives = read_natives([*read.values(), shelf.versions[version]], config, stages)
    newest = natives[version]
    runs: list[_Run] = []
    judgements: dict[tuple[int, str], Judgement] = {}
    for older, contract in wanted:
        try:
            runs.append(_prepared(shelf, files, older, contract, natives, newest))
        except FeastBCError as error:
            failed = Judgement.not_run(version, older.version, contract, str(error))
            judgements[older.version, contract.consumer] = failed
    if isinstance(newest, NativeVectors) and runs:
        links = _links(shelf, version, correction)
        chains = {chain.to_version: chain for chain in chains_over(links[-1], links[:-1])}
        rows = np.unique(np.concatenate([run.common.newer_rows for run in runs]))
        vectors = newest.take(rows, stages("running the contracts"))
        holdout = shelf.versions[version].manifest.holdout
        if correction is not None and correction.transform.from_version == version:
            holdout = correction.holdout
        for run in runs:
            mine = vectors[np.searchsorted(rows, run.common.newer_rows)]
            judgement = _judged(version, run, chains[run.version], mine, holdout)
            judgements[run.version, run.judge.contract.consumer] = judgement
    return [judgements[older.version, contract.consumer] for older, contract in wanted]


def _links(shelf: Shelf, version: int, correction: Correction | None) -> list[BackwardTransform]:
    """B_1, ..., B_k, with the corrected one in its place."""
    links = {
        each.version: each.transform.load()
        for each in shelf.versions[1 : version + 1]
        if each.transform is not None
    }
    if correction is not None:
        links[correction.transform.from_version] = correction.transform
    return [links[k] for k in sorted(links)]


def _prepared(
    shelf: Shelf,
    files: CatalogFiles,
    older: PublishedVersion,
    contract: Contract,
    natives: Natives,
    newest: NativeVectors | FeastBCError,
) -> _Run:
    """Raises FeastBCError for a contract that cannot be run."""
    native = natives[older.version]
    if isinstance(newest, FeastBCError):
        raise newest
    if isinstance(native, FeastBCError):
        raise native
    contents = {
        file.file: read_contract_file(files, shelf.embedding, older.version, file)
        for file in contract.files
    }
    judge = Judge.of(contract, contents, native)
    among = None if judge.sample is None else judge.sample.keys
    return _Run(judge, older.version, native, common_entities(newest, native, among=among))


def _judged(
    candidate: int,
    run: _Run,
    chain: BackwardTransform,
    newest: Matrix,
    holdout: Holdout | None,
) -> Judgement:
    try:
        native, served = run.common.older_vectors(run.native), chain.apply(newest)
        chosen, on = np.ones(len(native), bool), ALL
        if holdout is not None:
            unseen = holdout.contains(run.common.keys())
            if unseen.sum() >= FEWEST:
                chosen, on = unseen, HELD_OUT
        keys = run.common.sample.select(list(run.common.names)).filter(pa.array(chosen))
        return run.judge.compare(candidate, run.version, keys, native[chosen], served[chosen], on)
    except FeastBCError as error:
        return Judgement.not_run(candidate, run.version, run.judge.contract, str(error))
