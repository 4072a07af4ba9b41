"""What a person has accepted by name, in the environment of one command."""

from __future__ import annotations

import os


def is_accepted(variable: str, name: str) -> bool:
    """Whether an environment variable has a name; it may have more, with commas between them."""
    return name in os.environ.get(variable, "").replace(" ", "").split(",")
