"""PostgreSQL: each stored view is a table; a transaction writes many, a query reads many."""

from feast_bc.online.access import StoreAccess
from feast_bc.online.postgres.reader import PostgresReader, has_vectors
from feast_bc.online.postgres.writer import PostgresWriter

ACCESS = StoreAccess(
    reader=PostgresReader,
    writer=PostgresWriter,
    supports=PostgresWriter.supports,
    searches=has_vectors,
)
