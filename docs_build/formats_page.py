"""The reference of what is stored: each format's fields, and a file of its newest schema."""

from __future__ import annotations

import re
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from feast_bc.catalog.event import Event
from feast_bc.catalog.manifest import Manifest
from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.offline.export import Export
from feast_bc.rule import Activation
from feast_bc.stored_format import Part, StoredFormat
from feast_bc.transforms.artifact import ArtifactManifest, TensorHeader, TransformRef
from feast_bc.transforms.holdout import Holdout
from feast_bc.views.registry_plan import RegistryPlan

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"

FORMATS: dict[str, type[StoredFormat]] = {
    "manifest": Manifest,
    "event": Event,
    "registry_plan": RegistryPlan,
    "artifact": ArtifactManifest,
    "tensor_header": TensorHeader,
    "export": Export,
}
"""By the names of their golden files."""

_PLACES = {
    "manifest": "The catalog: `<embedding>/v<k>/manifest-<digest>.json`, written once.",
    "event": "The catalog: `<embedding>/events/`, one file an event, in order.",
    "registry_plan": "The Feast registry: the data source of every version view.",
    "artifact": "The folder that a training writes: `manifest.json` beside `backward.safetensors`.",
    "tensor_header": "The metadata of a safetensors file, all of it text.",
    "export": "The schema metadata of what `feast-bc export` writes.",
}

_INTRODUCTION = """\
# Formats

What feast-bc stores, as JSON, each with its `schema_version`. A release reads every older number
and refuses newer ones, and fields that are not named here. *Since* tells with which number a field
came. Vectors are the sources' own and in no format of ours; transformations are
[safetensors](https://github.com/huggingface/safetensors) files.
"""


_TOLD_BY: dict[str, type] = {
    "ActivationEntry": Activation,
    "HoldoutEntry": Holdout,
    "MemberEntry": EmbeddingVersion,
    "ReferenceEntry": TransformRef,
}
"""Objects whose docstring refers to another class for their fields."""


def formats_page() -> str:
    """The page, in Markdown."""
    sections = [_section(name) for name in FORMATS]
    return "\n".join([_INTRODUCTION, *sections, "## Objects inside\n", *_objects()])


def _section(name: str) -> str:
    kind = FORMATS[name]
    title = name.replace("_", " ").capitalize()
    example = (GOLDEN / f"{name}-{kind.SCHEMA}.json").read_text().strip()
    return "\n".join(
        [
            f"## {title}\n",
            f"{_PLACES[name]} Schema {kind.SCHEMA}.\n",
            _table(kind),
            f"An example:\n\n```json\n{example}\n```\n",
        ]
    )


def _objects() -> list[str]:
    parts = dict.fromkeys(part for kind in FORMATS.values() for part in _parts(kind))
    return [f"### {part.__name__}\n\n{_table(part)}" for part in parts]


def _table(kind: type[Part]) -> str:
    told = _attributes(kind)
    rows = [["field", "type", "meaning"], ["---"] * 3]
    rows += [
        [f"`{field.alias or name}`", f"`{_type(field.annotation)}`", told.get(name, "")]
        for name, field in kind.model_fields.items()
    ]
    if issubclass(kind, StoredFormat):
        since = [str(kind.SINCE.get(name, 1)) for name in kind.model_fields]
        for row, cell in zip(rows, ["since", "---", *since], strict=True):
            row.insert(2, cell)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _attributes(kind: type[BaseModel]) -> dict[str, str]:
    """What the docstrings of a model and its bases say of each field."""
    told = {"schema_version": "the number it was written with"}
    for base in (_TOLD_BY.get(kind.__name__, object), *reversed(kind.__mro__)):
        _, _, text = (base.__doc__ or "").partition("Attributes:\n")
        entries = re.findall(r"^ {8}(\w[\w, ]*): (.*(?:\n {12}.*)*)", text, re.MULTILINE)
        for names, meaning in entries:
            words = " ".join(meaning.split()).replace("|", "\\|")
            told.update(dict.fromkeys(names.split(", "), words))
    return told


def _parts(kind: type[Part]) -> list[type[Part]]:
    """The objects inside a format, each once, outermost first."""
    found: list[type[Part]] = []
    pending: list[type[Part]] = [kind]
    while pending:
        for field in pending.pop(0).model_fields.values():
            for inner in _models(field.annotation):
                if inner not in found:
                    found.append(inner)
                    pending.append(inner)
    return found


def _models(annotation: object) -> list[type[Part]]:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models(part)]


def _type(annotation: object) -> str:
    """A type as it is written, with its constraints left out."""
    inner = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return _type(inner[0])
    if get_origin(annotation) in (Union, UnionType):
        return " | ".join(map(_type, inner))
    if get_origin(annotation) is Literal:
        return " | ".join(map(repr, inner))
    if annotation is Ellipsis:
        return "..."
    name = "None" if annotation is NoneType else getattr(annotation, "__name__", str(annotation))
    return f"{name}[{', '.join(map(_type, inner))}]" if inner else name
