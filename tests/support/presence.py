"""What may be absent, where it must not be."""

from __future__ import annotations

from typing import TypeVar

_Thing = TypeVar("_Thing")


def there(thing: _Thing | None) -> _Thing:
    """Assert that a thing is not None, and return it."""
    assert thing is not None
    return thing
