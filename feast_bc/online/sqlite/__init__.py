"""SQLite: each stored view is a table."""

from feast_bc.online.access import StoreAccess
from feast_bc.online.sqlite.reader import SqliteReader
from feast_bc.online.sqlite.writer import SqliteWriter

ACCESS = StoreAccess(
    reader=SqliteReader, writer=SqliteWriter, supports=SqliteWriter.supports, one_process=True
)
