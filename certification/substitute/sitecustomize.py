"""Lets the name `local` stand for this package's provider, in every process that imports Feast.

Python imports a module of this name as it starts, from wherever it is found first.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

MODULE = "feast.infra.provider"
PROVIDER = "certification.substitute.witness.WitnessedProvider"


class Substitution(MetaPathFinder):
    """Changes Feast's table of providers right after its module has run."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - Python passes both
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        if fullname != MODULE:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is None or spec.loader is None:
            return spec
        run = spec.loader.exec_module

        def run_and_substitute(module: ModuleType) -> None:
            run(module)
            module.PROVIDERS_CLASS_FOR_TYPE["local"] = PROVIDER

        spec.loader.exec_module = run_and_substitute  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, Substitution())
