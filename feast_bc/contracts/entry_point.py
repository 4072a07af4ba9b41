"""A consumer team's check, imported by its name; its code is never stored."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable

import pandas as pd

from feast_bc.columns.arrays import Matrix
from feast_bc.errors import ContractError

Check = Callable[[pd.DataFrame, Matrix], object]
"""`evaluate(entities, vectors)`: n entities with their join keys as columns, and float32 vectors of
shape `(n, D_j)` in the same order. It returns one number, or one per entity: shape `(n,)`, NaN for
entities of which it knows nothing."""

_PARAMETERS = ["entities", "vectors"]


def load_check(name: str) -> Check:
    """The function that an entry point `module:function` names.

    The catalog names it, so that whoever writes there chooses what is imported. A function that was
    not written as a check is therefore refused: it has to take exactly `entities` and `vectors`,
    and to stand in no module of Python itself.

    Raises:
        ContractError: it cannot be imported, or is no check.
    """
    module_name, _, function = name.partition(":")
    if module_name.partition(".")[0] in {*sys.stdlib_module_names, "feast_bc"}:
        raise ContractError(
            f"check {name!r}: {module_name} is a module of Python or of feast-bc, where no "
            "consumer's check stands. Name a module of the consumer team's."
        )
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # the module is somebody's Python
        raise ContractError(
            f"check {name!r}: {module_name} cannot be imported ({type(error).__name__}: {error}). "
            "Install the consumer team's package in this process's environment, or set PYTHONPATH."
        ) from error
    check = getattr(module, function, None)
    if not callable(check):
        raise ContractError(
            f"check {name!r}: {module_name} has no function {function!r}; expected "
            f"def {function}(entities, vectors)."
        )
    try:
        found = [str(each) for each in inspect.signature(check).parameters.values()]
    except (TypeError, ValueError):
        found = ["unknown"]
    if [each.partition(":")[0] for each in found] != _PARAMETERS:
        raise ContractError(
            f"check {name!r} takes ({', '.join(found)}); expected exactly (entities, vectors): a "
            "pandas frame of join keys and a float32 matrix, row by row."
        )
    return check  # type: ignore[no-any-return]
