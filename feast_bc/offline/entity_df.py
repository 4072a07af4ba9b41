"""What an offline store takes as entity dataframe, where version views are asked for."""

from __future__ import annotations

import pandas as pd
from feast.infra.offline_stores.offline_store import OfflineStore

from feast_bc.errors import ProviderError
from feast_bc.feast_internals import DASK, DUCKDB, is_a


def check_entity_df(store: OfflineStore, entity_df: object) -> None:
    """Refuse what a store cannot ask for: the stores of files take a dataframe and nothing else.

    Raises:
        ProviderError: it is something else.
    """
    files = is_a(store, DUCKDB) or is_a(store, DASK)
    query = isinstance(entity_df, str)
    if isinstance(entity_df, pd.DataFrame) or (query and not files):
        return
    found = "SQL" if query else f"a {type(entity_df).__name__}"
    remedy = "Run the query first: entity_df = duckdb.sql(query).df()."
    name = type(store).__name__.removeprefix("BackwardCompatible")
    raise ProviderError(
        f"entity_df is {found}, which {name} does not take for version views; expected a pandas "
        f"DataFrame{'' if files else ' or SQL'}. "
        f"{remedy if query else 'Convert it, for example by to_pandas().'}"
    )
