"""SQLite: each stored view is a table."""

from feast.infra.online_stores.online_store import OnlineStore
from feast.repo_config import RepoConfig

from feast_bc.online.access import StoreAccess
from feast_bc.online.sqlite.reader import SqliteReader
from feast_bc.online.sqlite.writer import SqliteWriter
from feast_bc.online.writer import FeastWriter, OnlineWriter


def _writer(store: OnlineStore, config: RepoConfig) -> OnlineWriter:
    kind = SqliteWriter if SqliteWriter.supports(config) else FeastWriter
    writer: OnlineWriter = kind(store, config)
    return writer


ACCESS = StoreAccess(reader=SqliteReader, writer=_writer, one_process=True)
