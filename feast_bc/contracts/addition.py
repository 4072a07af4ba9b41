"""Adding a contract: run it on native vectors first, for what fails there can never hold."""

from __future__ import annotations

from pathlib import PurePath

import pyarrow as pa
from feast.repo_config import RepoConfig
from pydantic import ValidationError

from feast_bc.catalog.change import CatalogChange
from feast_bc.catalog.contract import Contract, ContractFile, Metric, check_names
from feast_bc.catalog.embedding_catalog import EmbeddingCatalog
from feast_bc.catalog.published_version import PublishedVersion, pick
from feast_bc.contracts.judge import Judge
from feast_bc.contracts.sample import read_file, reduced
from feast_bc.errors import CatalogError, ContractError
from feast_bc.native.native_vectors import NativeVectors, read_native_vectors
from feast_bc.publishing.common_entities import common_entities
from feast_bc.publishing.measurement import Stages, silent
from feast_bc.publishing.source_check import check_source
from feast_bc.stored_format import first_problem

MODELS = (".safetensors", ".onnx")


def add_contract(
    catalog: EmbeddingCatalog,
    embedding: str,
    version: int,
    *,
    consumer: str,
    tolerance: float,
    check: str | None = None,
    model: str | None = None,
    sample: str | None = None,
    label: str | None = None,
    metric: Metric | None = None,
    threshold: float | None = None,
    segment: str | None = None,
    limit: float | None = None,
    config: RepoConfig | None = None,
    stages: Stages = silent,
) -> tuple[CatalogChange, float | None]:
    """Run a contract on native v_j, and put it in the catalog.

    A model and a sample are copied there, the sample with the columns that are needed and no
    others. Of a check only the name is kept. `feast_bc.catalog.contract.Contract` describes the
    arguments that are not described here. Adding the same again changes nothing and runs nothing.

    Args:
        catalog, embedding, version: what the consumer reads.
        model: a `.safetensors` or `.onnx` file, here or at a URI.
        sample: a parquet file, likewise.
        config: the feature repo's configuration, for sources that are not parquet files.
        stages: tells progress.

    Returns:
        What became of the catalog, and the figure on native vectors; None where nothing was run.

    Raises:
        ContractError: the contract cannot be run, or its limit does not hold on native vectors.
        CatalogError: its parts do not fit together; as `EmbeddingCatalog.add_contract`.
        InvalidVectorsError, DimensionError, SourceChangedError: the vectors of the version are not
            what was published, or cannot be read.
        UnknownVersionError, VersionConflictError: as `EmbeddingCatalog.add_contract`.
    """
    check_names(consumer, check)
    shelf = catalog.shelf(embedding)
    published = pick(shelf.versions, version)
    files: dict[str, bytes] = {}
    kept: dict[str, ContractFile] = {}
    if model is not None:
        suffix = PurePath(model).suffix.lower()
        if suffix not in MODELS:
            raise ContractError(
                f"Model {model} ends with {suffix!r}; expected {' or '.join(MODELS)}: a linear "
                "model's tensors, or ONNX. Pickled models are code and are not taken."
            )
        data = read_file(model)
        kept["model"] = ContractFile.new("model", suffix, data)
        files[kept["model"].file] = data
    if sample is not None:
        columns = [*published.manifest.join_keys, *filter(None, (label, segment))]
        data = reduced(read_file(sample), columns, of=f"sample {sample}")
        kept["sample"] = ContractFile.new("sample", ".parquet", data)
        files[kept["sample"].file] = data
    try:
        contract = Contract(
            consumer=consumer,
            check=check,
            **kept,
            label=label,
            metric=metric,
            threshold=threshold,
            segment=segment,
            limit=limit,
            tolerance=tolerance,
        )
    except ValidationError as error:
        problem = first_problem(error).removeprefix("Value error, ")
        raise CatalogError(
            f"The contract of {consumer} on {embedding} version {version}: {problem}. "
            "`feast-bc contract add --help` tells what goes together."
        ) from error
    if contract in published.contracts:
        return CatalogChange(published, changed=False), None
    try:
        shelf.state.check_new_contract(version, contract)
    except CatalogError as error:
        raise CatalogError(f"{embedding} {error}") from error
    figure = _on_native(published, contract, files, config, stages)
    worse = figure > (limit or 0) if contract.less_is_better else figure < (limit or 0)
    if limit is not None and worse:
        raise ContractError(
            f"{contract.what} gives {figure:.4f} on the native vectors of {embedding} version "
            f"{version}; expected {contract.terms.partition(',')[0]}, or no version could ever "
            "serve it. Set another limit."
        )
    return catalog.add_contract(embedding, version, contract, files, known=shelf), figure


def _on_native(
    published: PublishedVersion,
    contract: Contract,
    files: dict[str, bytes],
    config: RepoConfig | None,
    stages: Stages,
) -> float:
    manifest = published.manifest
    check_source(published, config)
    native: NativeVectors = read_native_vectors(
        manifest.source,
        join_keys=manifest.join_keys,
        dim=manifest.dim,
        feature=manifest.feature,
        config=config,
        progress=stages(f"reading version {published.version}"),
    )
    judge = Judge.of(contract, files, native)
    among = None if judge.sample is None else judge.sample.keys
    here = common_entities(native, native, among=among)
    keys: pa.Table = here.sample.select(list(here.names))
    return judge.alone(keys, native.take(here.newer_rows))
