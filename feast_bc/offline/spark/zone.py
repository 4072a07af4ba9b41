"""Instants in Spark's SQL, whatever the session's time zone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

_ZONE = "spark.sql.session.timeZone"


@contextmanager
def in_utc(session: SparkSession) -> Iterator[None]:
    """Have Spark read instants without a zone as UTC, as feast-bc does.

    Feast writes the instants of its queries in UTC, and Spark takes a text for one in the zone of
    the session. Spark decides it when it analyses a query: a DataFrame that was made here keeps it.
    """
    zone = str(session.conf.get(_ZONE))  # Spark has a default
    session.conf.set(_ZONE, "UTC")
    try:
        yield
    finally:
        session.conf.set(_ZONE, zone)
