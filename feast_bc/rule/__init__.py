"""The one rule: whose native row gives a version view its value.

At any time t, view j's value for an entity is taken from the newest version k >= j that is active
at t and has a native row for that entity at or before t (within the TTL), transformed k -> j.
Version j itself is always active for its own view; k > j counts from its `active_from` until its
rollback. No such row: null, never zeros.

In detail:

- Of each version only the newest native row at or before t counts. If its vector is null, the
  version has no value for the entity: the next older version that counts serves.
- A row is within the TTL while t - its instant <= TTL.
- Rows of several versions at one instant need no tie-break: the newest version that counts wins.
- A value's event timestamp is the winning row's own instant. A null has the instant of the
  newest row among the versions that count.
- What was written online counts from then on, also a row whose instant lies ahead of the clock:
  a materialization up to a future t writes what the rule says at t.
- A pushed row is a native row. Of rows of one version at one instant the later push stays, and a
  row of the batch source goes before a pushed one.
- Where an embedding *keeps unchanged vectors*, its native rows say from when the entity's input is
  unchanged. Where version k's row would give the value, an older version's row gives it that says
  the same instant as k's row, or a later one: it was computed from the same input, or from a newer
  one, and is exact in a space nearer to j. It has to count itself: its version counts at t, it is
  that version's newest row at or before t, within the TTL, with a vector. Of several versions the
  oldest gives the value. A row that does not say, a pushed one among them, neither keeps another's
  value nor is kept.
- Where native rows are stored and values are worked out when they are read, a row is kept while
  some view may take a value from it: at once or later, with no new row, after a given number of
  rollbacks. A pushed row is kept, for it stands nowhere else.

This package knows numbers only: no Feast, no store, no clock. Whatever needs one of its answers
asks here.
"""

from feast_bc.rule.activation import Activation, active_at, check_aware
from feast_bc.rule.kept import Kept, Served
from feast_bc.rule.plan import NONE, Member, Plan, Rows, Winners
from feast_bc.rule.state import Digests, State
from feast_bc.rule.written import NOTHING, Written, news_since

__all__ = [
    "NONE",
    "NOTHING",
    "Activation",
    "Digests",
    "Kept",
    "Member",
    "Plan",
    "Rows",
    "Served",
    "State",
    "Winners",
    "Written",
    "active_at",
    "check_aware",
    "news_since",
]
