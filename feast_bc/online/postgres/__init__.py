"""PostgreSQL: each stored view is a table; a transaction writes many, a query reads many."""

from feast.infra.online_stores.online_store import OnlineStore
from feast.repo_config import RepoConfig

from feast_bc.online.access import StoreAccess
from feast_bc.online.postgres.reader import PostgresReader
from feast_bc.online.postgres.writer import PostgresWriter
from feast_bc.online.writer import FeastWriter, OnlineWriter


def _writer(store: OnlineStore, config: RepoConfig) -> OnlineWriter:
    kind = PostgresWriter if PostgresWriter.supports(config) else FeastWriter
    writer: OnlineWriter = kind(store, config)
    return writer


ACCESS = StoreAccess(reader=PostgresReader, writer=_writer)
