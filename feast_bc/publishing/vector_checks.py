"""What publishing asks of a version's vectors beside each row being sound."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from feast_bc import clock
from feast_bc.columns.instants import to_datetime
from feast_bc.errors import FeastBCError, InvalidVectorsError
from feast_bc.native.native_vectors import NativeVectors
from feast_bc.publishing.measurement import Natives
from feast_bc.publishing.refusal import Refusal

_DAY = 86_400_000_000


def vectors_ahead(native: NativeVectors) -> Iterable[Refusal]:
    """Whether an entity's newest row lies in the future: it gives no value until then.

    Less than a day passes: clocks differ, and jobs stamp the end of the day that they run on.
    """
    now = clock.now()
    ahead = native.instants > now + _DAY
    if ahead.any():
        newest = to_datetime(int(native.instants.max()))
        yield Refusal(
            "future-vectors",
            f"the newest vectors of {int(np.count_nonzero(ahead))} of {native.entities} entities "
            f"lie in the future, up to {newest.isoformat()}; it is {to_datetime(now).isoformat()}",
            "No view would have them until then: correct the event timestamps (milliseconds taken "
            "for seconds?), or publish when they hold.",
        )


def check_key_kinds(native: NativeVectors, natives: Natives, of: str) -> None:
    """Refuse join keys of another type than the older versions': no view could join both.

    Args:
        native: the vectors of the version.
        natives: those of the older versions, as far as they can be read.
        of: the embedding and version.

    Raises:
        InvalidVectorsError: integers meet text.
    """
    for version, older in sorted(natives.items(), reverse=True):
        if isinstance(older, FeastBCError):
            continue
        for key, found, expected in zip(
            native.keys, native.contents.key_kinds, older.contents.key_kinds, strict=True
        ):
            if found != expected:
                raise InvalidVectorsError(
                    f"{of}: join key {key!r} is {found} in its source; expected {expected}, as in "
                    f"the source of version {version}. Write the key with the type that it has "
                    "there: one entity has one key in all versions."
                )
        return
