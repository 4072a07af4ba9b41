"""What `import feast_bc` gives, and what it costs."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

import feast_bc

LIGHT = """
import sys
import feast_bc
assert not {"feast", "pyarrow", "pandas"} & {*sys.modules}
assert set(feast_bc.__all__) <= set(dir(feast_bc))
feast_bc.AffineTransform, feast_bc.load_artifact  # what a model needs without a feature store
assert "feast" not in sys.modules
from feast_bc import *
assert BackwardCompatibleProvider is feast_bc.provider.BackwardCompatibleProvider
"""


def test_a_name_is_imported_when_it_is_used() -> None:
    subprocess.run([sys.executable, "-c", LIGHT], check=True, timeout=120)


@pytest.mark.parametrize("name", feast_bc.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(feast_bc, name).__name__ == name


def test_no_module_hides_a_name() -> None:
    modules = {module.name for module in pkgutil.iter_modules(feast_bc.__path__)}
    assert not modules & {*feast_bc.__all__}


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="module 'feast_bc' has no attribute 'nothing'"):
        _ = feast_bc.nothing  # type: ignore[attr-defined]
