"""One number of an experiment, and what it may be the number of."""

from __future__ import annotations

from dataclasses import dataclass

RECALL, ASYMMETRIC = "recall", "asymmetric_recall"
AUROC, FROZEN, RETRAINED, BACKFILL = "auroc", "frozen_auroc", "retrained_auroc", "backfill_auroc"
PROBE = "probe_agreement"
ERROR, CENTRED, CENTRED_HELD_OUT = "alignment_error", "centred_error", "centred_error_held_out"
FAMILY_ERROR = "centred_error_held_out_of_family"
LARGEST, SMALLEST = "largest_singular_value", "smallest_singular_value"
SECONDS, PEAK_RSS = "seconds", "peak_rss"
VECTOR_BYTES, MAP_PARAMETERS = "vector_bytes", "map_parameters"
TEST_USERS, VALIDATION_USERS = "test_users", "validation_users"


@dataclass(frozen=True)
class Row:
    """One number.

    Attributes:
        version: k, the newest version.
        measure: RECALL (Recall@50 in the test window); ASYMMETRIC: the same, users of version k
            served as version j against native items of version j; AUROC of a consumer model;
            FROZEN: the same consumer on native vectors of version j as they were at version j's
            own instant (entities since then have their mean); RETRAINED: a consumer trained on
            native vectors of version k and the window before it; BACKFILL: as AUROC, where only a
            `share` of entities is on version k yet and the others still have what version k-1
            served; PROBE: what probe consumers keep of their skill
            (`feast_bc.publishing.probe_suite`), by `family` and kind of consumer; ERROR: the mean
            over users and items of ||z~_j - z_j||_2, as in the paper; CENTRED: the mean over the
            two families of the centred error; CENTRED_HELD_OUT: the same over entities that no
            alignment saw; FAMILY_ERROR: the same of one family; LARGEST and SMALLEST: singular
            values of the chain k -> j of one family; SECONDS: training M_k and B_k, on the
            machine that did; PEAK_RSS: the peak resident set size, in bytes, of the process that
            trained version k, from its start to then; VECTOR_BYTES: float32 vectors of version j
            for the users and items of version k; MAP_PARAMETERS: numbers in B_k, both families;
            TEST_USERS: who has anything to be found in the test window; VALIDATION_USERS: in the
            validation window of version 0.
        value: the number; of a consumer model: when served from version k.
        serves: j, the older version that is served (k itself for VECTOR_BYTES of the newest
            vectors); None for RECALL and costs.
        task, consumer: of the consumer model.
        family: of singular values, probes and FAMILY_ERROR; what the consumer model of an AUROC
            looks at, None for both.
        native: its AUROC on native vectors of version j.
        deviation: the standard error of `native`.
        difference: the standard error of `value - native`, paired over the rows judged.
        share: of entities that are on version k, of BACKFILL.
        resampled, resampled_native: `value` and `native` over resampled users or items; the same
            draw in all rows is the same sample. Of RECALL, and of consumers of version 0.
    """

    version: int
    measure: str
    value: float
    serves: int | None = None
    task: str | None = None
    native: float | None = None
    deviation: float | None = None
    consumer: str | None = None
    family: str | None = None
    difference: float | None = None
    share: float | None = None
    resampled: list[float] | None = None
    resampled_native: list[float] | None = None
