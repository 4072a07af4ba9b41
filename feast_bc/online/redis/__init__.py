"""Redis: an entity's versions share one hash."""

from feast_bc.online.access import StoreAccess
from feast_bc.online.redis.deletion import delete_views
from feast_bc.online.redis.reader import RedisReader
from feast_bc.online.redis.views import missing, read_views, read_views_async
from feast_bc.online.redis.writer import RedisWriter

ACCESS = StoreAccess(
    reader=RedisReader,
    writer=RedisWriter,
    delete_views=delete_views,
    missing=missing,
    read_views=read_views,
    read_views_async=read_views_async,
)
