"""Holds feast-bc to its one rule over random histories, through its public surface.

The rule: at any time t, view j's value for an entity is taken from the newest version k >= j that
is active at t and has a native row for that entity at or before t (within the TTL), transformed
k -> j. Version j itself is always active for its own view; k > j counts only from its active_from
until its rollback. No such row: null. Of one version only its newest row at t counts; if that row
is null, the version has no usable row. A row is within the TTL while t minus its instant is at
most the TTL.

Where a family keeps unchanged vectors: if a row of version k gives the value by that sentence, and
says from when its input is unchanged, the value is taken instead from the oldest version whose own
newest row at t is usable, counts, and says no earlier instant. A pushed row does not say.

What is promised offline:
- `get_historical_features` equals the rule at every instant, past or future, over all native rows
  of the batch sources, under the plan that the view was last applied with.

What is promised online, served materialized:
- After a materialization up to t each of its views equals the rule at t, under the plan that the
  view was last applied with. Native rows after t do not count.
- An apply alone, a moved clock and a materialization of other views change no value.
- A native row that arrives with a timestamp before the window's start may stay unseen. A run
  looks at all rows if it starts before all of them, if it is the view's first, if what decides the
  view's values has changed since they were written (the TTL, which versions ever serve it and
  when), or if it ends before the previous run did.
- An incremental window starts no later than the latest run of the view ended, and no later than
  the preparation of the serving in use did.
- A pushed row that is newer than the native rows of its version that a run knows may outlive the
  run, or not. One of the same instant as a native row may stay until a run looks at that row. A
  row pushed to both stores is a late native row for the runs that follow.
- A materialization may leave the value of an entity of which it never saw a native row. One that
  does not look at all rows looks at versions that count at its end only.

What is promised online, served on read:
- A read at an instant r equals the rule at r, under the plan that the view was last applied with,
  over the native rows that the online store was given: by a run of any view of the family that
  covers the version, or by a push. A stored row counts at once, even if its timestamp lies ahead.
- A run looks at all rows of a version if it starts before all of them, if it is the first of a
  view, the first that covers the version, or if it ends before the previous one did. Else late
  rows may stay unseen.
- A pushed row stays until a native row that is not older is given. After a run that ends before an
  earlier end, a version may have its newest row up to that end, or the newest that the store was
  ever given.

- A read is refused where it needs a native row that the store did not keep, and never without that.
  A run that sees an entity's row, of any version that counts for some view, keeps of this entity
  what any view may take a value from: from the run's clock or its end on, whichever is earlier,
  with no new row, and after as many rollbacks of any versions as the view was applied with.

What is promised of a push of version k at an instant s:
- It counts for view k, and for each older applied view in whose plan k is active at s.
- It does not count where the store knows a row of k with a newer timestamp (an equal one is
  replaced), where a newer version that is active at s has a usable row in the store, or where the
  pushed row itself is beyond the TTL. Such a push is dropped; it changes nothing.
- Served on read, the store takes every row that is not older than what it has of the version.
- It is refused whole if a timestamp lies more than a minute ahead of the clock.

- Online pushes to a view are refused where the view, or an older applied one, keeps unchanged
  vectors; so is the preparation of serving on read.

What is promised of a change of serving:
- `prepare_serving` changes nothing that is served. Once the other serving is applied, values are
  those of the preparation, until the first materialization, which sees everything.
- `drop_serving` refuses the serving in use.

A view is read online only if it was materialized, or prepared, since it was created under its
serving. The event timestamp of a value is the instant of the native row that it comes from.

`oracle` has the rule and the arithmetic of the vectors, `promises` what the online store may hold:
both on plain dictionaries, and without an import from feast_bc.
"""
