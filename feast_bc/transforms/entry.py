"""How a stored manifest describes a transformation and its holdout."""

from __future__ import annotations

from pydantic import Field

from feast_bc.stored_format import Part
from feast_bc.transforms.base import BackwardTransform
from feast_bc.transforms.holdout import Holdout


class Ends(Part):
    """A number at the newer version, and one at the older.

    Attributes:
        newer: at version k, "from" which the transformation leads.
        older: at version k-1, "to" which it leads.
    """

    newer: int = Field(alias="from")
    older: int = Field(alias="to")


class TransformEntry(Part):
    """A transformation.

    Attributes:
        kind: one of `feast_bc.transforms.KINDS`.
        direction: the versions that it leads from and to.
        dims: their dimensions.
        sha256: hex digest of the safetensors file.
    """

    kind: str
    direction: Ends
    dims: Ends
    sha256: str = Field(pattern="^[0-9a-f]{64}$")

    @classmethod
    def of(cls, transform: BackwardTransform, sha256: str) -> TransformEntry:
        """Describe a transformation whose file has a digest."""
        return cls(
            kind=transform.kind,
            direction=Ends(newer=transform.from_version, older=transform.to_version),
            dims=Ends(newer=transform.from_dim, older=transform.to_dim),
            sha256=sha256,
        )

    @property
    def from_version(self) -> int:
        return self.direction.newer

    @property
    def to_version(self) -> int:
        return self.direction.older

    @property
    def from_dim(self) -> int:
        return self.dims.newer

    @property
    def to_dim(self) -> int:
        return self.dims.older


class HoldoutEntry(Part):
    """Which entities a fit did not see; the fields of `Holdout`."""

    fraction: float = Field(gt=0, lt=1)
    salt: str

    @classmethod
    def of(cls, holdout: Holdout | None) -> HoldoutEntry | None:
        """Describe a holdout; None for none."""
        if holdout is None:
            return None
        return cls(fraction=holdout.fraction, salt=holdout.salt)

    def as_holdout(self) -> Holdout:
        """The holdout that it describes."""
        return Holdout(self.fraction, self.salt)
