"""The files of one experiment's runs: models, transformations and results, for a run to resume."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from feast_bc.transforms import AffineTransform
from training.comparison.row import Row
from training.encoders.encoder import Encoder
from training.encoders.recipe import Recipe
from training.versions.methods import Method


@dataclass(frozen=True)
class Cost:
    """What it took to train a version.

    Attributes:
        seconds: of the training.
        peak_rss: of the process that trained it, in bytes, up to then.
    """

    seconds: float
    peak_rss: int


@dataclass(frozen=True)
class Store:
    """`<folder>/seed<s>/`: `<encoder>.safetensors`; per method its maps, results and costs.

    Every file appears whole or not at all, so a run that was killed goes on from what is there.
    """

    folder: Path
    seed: int

    @property
    def _base(self) -> Path:
        return self.folder / f"seed{self.seed}"

    def encoder(self, name: str, recipe: Recipe) -> Encoder | None:
        """The encoder of that name, if it is stored."""
        path = self._base / f"{name}.safetensors"
        if not path.exists():
            return None
        return recipe.restored(load_file(path))

    def save_encoder(self, name: str, encoder: Encoder) -> None:
        _save(self._base / f"{name}.safetensors", encoder.state_dict())

    def digest(self) -> str:
        """The SHA-256 of M_0's file."""
        return hashlib.sha256((self._base / "M0.safetensors").read_bytes()).hexdigest()

    def backward(self, method: Method, version: int) -> dict[str, AffineTransform] | None:
        """B_k by family, if it is stored; empty for k = 0."""
        if version == 0:
            return {}
        path = self._path(method.name, version, "safetensors")
        if not path.exists():
            return None
        state = load_file(path)
        families = {name.split(".")[0] for name in state}
        return {
            family: AffineTransform(
                state[f"{family}.weight"].numpy(),
                state[f"{family}.bias"].numpy() if f"{family}.bias" in state else None,
                from_version=version,
                to_version=version - 1,
            )
            for family in families
        }

    def save_backward(
        self, method: Method, version: int, backward: Mapping[str, AffineTransform]
    ) -> None:
        state = {}
        for family, transform in backward.items():
            state[f"{family}.weight"] = torch.from_numpy(transform.weight.copy())
            if transform.bias is not None:
                state[f"{family}.bias"] = torch.from_numpy(transform.bias.copy())
        _save(self._path(method.name, version, "safetensors"), state)

    def cost(self, name: str, version: int) -> Cost | None:
        """What a method's version took, if that is stored."""
        path = self._cost_path(name, version)
        return Cost(**json.loads(path.read_text())) if path.exists() else None

    def save_cost(self, name: str, version: int, cost: Cost) -> None:
        with _whole(self._cost_path(name, version)) as part:
            part.write_text(json.dumps(asdict(cost)))

    def rows(self, name: str, version: int) -> list[Row] | None:
        """A finished version's results, if they are stored.

        Raises:
            ValueError: they belong to another M_0.
        """
        path = self._path(name, version, "json")
        if not path.exists():
            return None
        said = json.loads(path.read_text())
        if said["m0"] != self.digest():
            raise ValueError(f"{path} belongs to another M_0 than {self._base}'s; delete it.")
        return [Row(**row) for row in said["rows"]]

    def save_rows(self, name: str, version: int, rows: Sequence[Row]) -> None:
        said = {"m0": self.digest(), "rows": [asdict(row) for row in rows]}
        path = self._path(name, version, "json")
        with _whole(path) as part:
            part.write_text(json.dumps(said, indent=1))

    def _cost_path(self, name: str, version: int) -> Path:
        return self._base / name / f"cost-v{version}.json"

    def _path(self, name: str, version: int, suffix: str) -> Path:
        return self._base / name / f"v{version}.{suffix}"


def _save(path: Path, state: Mapping[str, Tensor]) -> None:
    with _whole(path) as part:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, part)


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A path to write to; it becomes `path` once that is done."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    yield part
    part.replace(path)
