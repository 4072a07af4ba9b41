"""The command that starts a feature repo: init."""

from __future__ import annotations

import re
from pathlib import Path

import click

from feast_bc.cli import output
from feast_bc.cli.group import common_options
from feast_bc.errors import CatalogError

PROVIDER_LINE = "provider: feast_bc.BackwardCompatibleProvider"
DEFINITIONS = "embeddings.py"

_KEY_TYPES = ("int64", "string", "int32", "bytes")

_CONFIG = f"""\
project: {{project}}
{PROVIDER_LINE}
registry:
  path: data/registry.db
  # Feast refuses readers of a view that is being materialized, and after a run that was killed.
  serve_features_while_materializing: true
offline_store:
  type: duckdb
online_store:
  type: sqlite
  path: data/online.db
entity_key_serialization_version: 3
"""

_DEFINITIONS = '''\
"""Versioned embeddings.

Publishing, activating or retiring a version needs no edit here: `feast apply` reads the catalog.
"""

import os
from pathlib import Path

from feast import Entity, ValueType

from feast_bc import EmbeddingCatalog, VersionedEmbedding

catalog = EmbeddingCatalog(os.environ.get("FEAST_BC_CATALOG", Path(__file__).parent / "catalog"))

{entity} = Entity(
    name="{entity}", join_keys=["{join_key}"], value_type=ValueType.{value_type}
)

# Until version 0 is published there is no view.
{embedding} = VersionedEmbedding.from_catalog(
    catalog, "{embedding}", entities=[{entity}], empty=True
)

# `feast apply` finds module-level objects: {embedding}_v0, {embedding}_v1, ...
globals().update({embedding}.feature_views())
'''


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False))
@click.option("--embedding", default="user_embedding", show_default=True, help="Its name.")
@click.option("--entity", default="user", show_default=True, help="What the vectors belong to.")
@click.option("--join-key", default="user_id", show_default=True, help="Its key column.")
@click.option(
    "--key-type", type=click.Choice(_KEY_TYPES), default="int64", show_default=True, help="Of keys."
)
@click.option(
    "--from-existing", is_flag=True, help="DIR is a feature repo: add to it, change no definition."
)
@common_options
def init(
    folder: str, embedding: str, entity: str, join_key: str, key_type: str, from_existing: bool
) -> None:
    """Write a feature repo for one embedding; it applies at once, before anything is published.

    With --from-existing the repo gets one file of definitions more, and feature_store.yaml another
    provider line: `provider: local` becomes ours, which treats all other views as before.

    \b
    Examples:
      feast-bc init feature_repo
      feast-bc init my_repo --from-existing --embedding item_embedding --entity item
    """
    for option, name in (("--embedding", embedding), ("--entity", entity)):
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
            raise click.UsageError(
                f"{option} {name!r}: expected a letter, then letters, digits or underscores; it "
                "becomes a name in Python."
            )
    if embedding == entity:
        raise click.UsageError(f"--embedding and --entity are both {entity!r}: name them apart.")
    repo = Path(folder)
    definitions = _DEFINITIONS.format(
        embedding=embedding, entity=entity, join_key=join_key, value_type=key_type.upper()
    )
    config = repo / "feature_store.yaml"
    _check_free(repo / DEFINITIONS)
    if from_existing:
        text = _with_our_provider(config)
    else:
        _check_free(config)
        project = re.sub(r"\W", "_", repo.resolve().name)
        text = _CONFIG.format(project=project if project[:1].isalpha() else "feast_bc")
    (repo / "data").mkdir(parents=True, exist_ok=True)
    (repo / DEFINITIONS).write_text(definitions)
    changed = not config.exists() or config.read_text() != text
    config.write_text(text)
    written = [str(repo / DEFINITIONS), *([str(config)] if changed else [])]
    output.result(
        {"written": written},
        f"Wrote {' and '.join(written)}.",
        next_=f"cd {folder}, feast apply, then feast-bc --catalog catalog publish {embedding} 0 "
        f"--vectors PATH --join-key {join_key}",
    )


def _check_free(path: Path) -> None:
    if path.exists():
        raise CatalogError(
            f"{path} exists already; nothing was written. Name another folder"
            + (", or pass --from-existing." if path.suffix == ".yaml" else ", or move it away.")
        )


def _with_our_provider(config: Path) -> str:
    """The text of feature_store.yaml with our provider; everything else as it is."""
    try:
        text = config.read_text()
    except OSError as error:
        raise CatalogError(
            f"{config} cannot be read ({error}): expected the folder of a feature repo. Without "
            "--from-existing a new one is written."
        ) from None
    found = re.findall(r"^provider:\s*(\S+)", text, re.MULTILINE)
    if len(found) != 1:
        raise CatalogError(
            f"{config}: expected one line `provider: ...`, found {len(found)}; nothing was "
            f"written. Write `{PROVIDER_LINE}` there yourself."
        )
    from feast_bc.views.provider_line import serves_version_views

    if found[0] != "local" and not serves_version_views(found[0]):
        raise CatalogError(
            f"{config} has the provider {found[0]}: feast-bc cannot take its place. Make one that "
            "inherits from feast_bc.BackwardCompatibleProvider; nothing was written."
        )
    if found[0] != "local":
        return text
    return re.sub(r"^provider:.*$", PROVIDER_LINE, text, flags=re.MULTILINE)
