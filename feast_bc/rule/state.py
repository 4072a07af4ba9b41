"""What an online store knows of the native rows behind its values, per entity.

Values alone do not tell which version gave them. Beside them stands, for each version k of the
family, the newest native row that the store was told of, and which version gave view k's value.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from feast_bc.columns.arrays import NEVER, Mask
from feast_bc.rule.plan import NONE, Rows, Winners

Digests = npt.NDArray[np.uint32]
"""The first 4 bytes of each version's digest, as numbers: shape `(K + 1,)`."""

ENTRY = np.dtype(
    [("digest", "<u4"), ("instant", "<i8"), ("gave", "<u2"), ("flags", "u1"), ("", "u1")]
)
"""One version of one entity: 16 bytes."""

_UNWRITTEN, _NULL, _VERSION_0 = 0, 1, 2
"""How `gave` says that a view was never written, is null, or has version 0's vector."""

_ROW, _VECTOR, _PUSHED, _DROPPED = 1, 2, 4, 8
"""What `flags` say of a version's newest row: that there is one; that its vector is not null; that
it was pushed, and is not known to stand in the batch source; that its vector was needed by no view
and is not stored. Plain numbers: numpy is slow with those of an enum.
"""


class State:
    """The entries of `n` entities for versions 0, 1, ..., K.

    Args:
        entries: structured array of shape `(n, K + 1)` and dtype `ENTRY`. An entry of zeros says
            that nothing is known.
        digests: of the versions. Entries of a version with another digest are of another version
            with the same number: they are cleared.
    """

    def __init__(self, entries: npt.NDArray[np.void], digests: Digests) -> None:
        self.entries = entries
        self._digests = digests
        known = entries["digest"][:, : len(digests)]
        differs = known != digests
        if np.count_nonzero(differs) and (other := differs & (known != 0)).any():
            self.entries = entries = entries.copy()
            entries[:, : len(digests)][other] = np.zeros((), ENTRY)

    @classmethod
    def empty(cls, count: int, digests: Digests) -> State:
        """The state of entities that nothing is known of."""
        return cls(np.zeros((count, len(digests)), ENTRY), digests)

    @classmethod
    def decode(cls, stored: npt.NDArray[np.uint8], digests: Digests) -> State:
        """Read what `encode` made.

        Args:
            stored: shape `(n, w)` with w >= `width(K + 1)`. Who wrote it may have known more
                versions: theirs are kept.
            digests: as on the constructor.
        """
        versions = stored.shape[1] // ENTRY.itemsize
        entries = stored[:, : cls.width(versions)].copy().view(ENTRY)
        return cls(entries, digests)

    @staticmethod
    def width(versions: int) -> int:
        """How many bytes the states of so many versions take."""
        return versions * ENTRY.itemsize

    def encode(self) -> npt.NDArray[np.uint8]:
        """The stored bytes, shape `(n, width(K + 1))`."""
        flat: npt.NDArray[np.uint8] = np.ascontiguousarray(self.entries).view(np.uint8)
        count, versions = self.entries.shape
        return flat.reshape(count, self.width(versions))

    def rows(self, version: int) -> Rows:
        """A version's newest rows."""
        column = self.entries[:, version]
        flags = column["flags"]
        instant = np.where(flags & _ROW, column["instant"], NEVER)
        return Rows(instant, (flags & _VECTOR) != 0)

    def pushed(self, version: int) -> Mask:
        """Shape `(n,)`: whose newest row of a version was pushed."""
        mask: Mask = (self.entries["flags"][:, version] & _PUSHED) != 0
        return mask

    def dropped(self, version: int) -> Mask:
        """Shape `(n,)`: whose newest row of a version has a vector that is not stored."""
        mask: Mask = (self.entries["flags"][:, version] & _DROPPED) != 0
        return mask

    def written(self, view: int) -> Mask:
        """Shape `(n,)`: where view j has a value or a null."""
        mask: Mask = self.entries["gave"][:, view] != _UNWRITTEN
        return mask

    def giver(self, view: int) -> Winners:
        """Shape `(n,)`: the version that gave view j's stored value; NONE for a null or nothing."""
        gave = self.entries["gave"][:, view].astype(np.int16) - np.int16(_VERSION_0)
        found: Winners = np.maximum(gave, np.int16(NONE))
        return found

    def know(
        self,
        version: int,
        rows: Rows,
        where: Mask,
        *,
        pushed: bool,
        dropped: Mask | None = None,
    ) -> None:
        """Take note of a version's newest rows, where there are any.

        Args:
            version: k.
            rows: the rows.
            where: whose rows to note.
            pushed: whether they were pushed.
            dropped: whose vectors are not stored, if there is one; None: nobody's.
        """
        where = where & (rows.instant != NEVER)
        column = self.entries[:, version]
        column["digest"][where] = self._digests[version]
        column["instant"][where] = rows.instant[where]
        flags = np.where(rows.has_vector, _ROW | _VECTOR, _ROW)
        if pushed:
            flags |= _PUSHED
        if dropped is not None:
            flags[dropped & rows.has_vector] |= _DROPPED
        column["flags"][where] = flags[where]

    def forget(self, version: int, where: Mask) -> None:
        """Note that a version has no row."""
        column = self.entries[:, version]
        column["flags"][where] = 0
        column["instant"][where] = 0

    def wrote(self, view: int, winner: Winners, where: Mask) -> None:
        """Take note of which version gave view j's value; NONE: it is null."""
        column = self.entries[:, view]
        column["digest"][where] = self._digests[view]
        column["gave"][where] = (winner + _VERSION_0)[where]

    def lost_track(self, view: int, where: Mask) -> None:
        """Note that view j has a value, and that it is not known any more which row gave it."""
        self.entries["gave"][:, view][where] = _NULL
