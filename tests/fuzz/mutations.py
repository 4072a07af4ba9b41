"""Changes of stored bytes: some know their structure, some do not."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np

VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    2**64,
    10**400,
    0.5,
    -0.0,
    1e308,
    1e999,
    float("nan"),
    "",
    "0",
    "1",
    "x" * 10_000,
    "\0",
    "\ud800",
    "../../etc/passwd",
    "/dev/zero",
    "http://127.0.0.1:1/v1/backward-000000000000.safetensors",
    "2026-01-01T00:00:00+00:00",
    "9999-12-31T23:59:59.999999-23:59",
    "0001-01-01T00:00:00+23:59",
    "2026-01-01",
    [],
    {},
    [[]],
    {"": {}},
    {"schema_version": 1},
]

Change = Callable[[bytes, random.Random], bytes]


def change_json(data: bytes, rng: random.Random) -> bytes:
    """Change a few places of a JSON text."""
    try:
        whole = json.loads(data)
    except (ValueError, RecursionError):
        return change_bytes(data, rng)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        whole = _changed(whole, rng)
    text = json.dumps(whole, ensure_ascii=rng.random() < 0.9)
    if rng.random() < 0.02:  # nested deeper than any reader goes
        depth = rng.choice([100, 1_000, 100_000])
        text = text.replace("null", "[" * depth + "]" * depth, 1)
    if rng.random() < 0.02:  # twice the same key
        text = text.replace("{", '{"schema_version": 1, ', 1)
    return text.encode("utf-8", "surrogatepass")


def change_bytes(data: bytes, rng: random.Random) -> bytes:
    """Flip, cut, repeat or insert bytes."""
    found = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8])):
        place = rng.randrange(len(found) + 1)
        action = rng.randrange(5)
        if action == 0 and found:
            found[place % len(found)] ^= 1 << rng.randrange(8)
        elif action == 1:
            del found[place:]
        elif action == 2:
            end = place + rng.randrange(16)
            del found[place:end]
        elif action == 3:
            found[place:place] = rng.randbytes(rng.randrange(1, 9))
        elif len(found) < 2**16:
            found[place:place] = found[place : place + rng.randrange(1, 64)]
    return bytes(found)


def change_tensors(data: bytes, rng: random.Random) -> bytes:
    """Change the JSON header of a safetensors file, its length, or its numbers."""
    size = int.from_bytes(data[:8], "little")
    header, numbers = data[8 : 8 + size], bytearray(data[8 + size :])
    action = rng.randrange(4)
    if action == 0:
        return change_bytes(data, rng)
    if action == 1:
        header = change_json(header, rng)
        header += b" " * (-len(header) % 8)
    elif action == 2:
        size = rng.choice([0, 1, 7, size - 1, size + 1, 2**31, 2**63, 2**64 - 1])
        return (size % 2**64).to_bytes(8, "little") + header + numbers
    else:
        special = np.array([np.inf, np.nan, 3.4e38, 2**24, 0, -1], "<f4")
        for _ in range(rng.choice([1, 2, 8])):
            place = 4 * rng.randrange(max(len(numbers) // 4, 1))
            numbers[place : place + 4] = rng.choice(special).tobytes()
    return len(header).to_bytes(8, "little") + header + numbers


def _changed(value: Any, rng: random.Random) -> Any:
    """A JSON value that differs at one place."""
    inner = isinstance(value, (dict, list)) and len(value) > 0
    if not inner or rng.random() < 0.1:
        return rng.choice(VALUES)
    copied: Any = dict(value) if isinstance(value, dict) else list(value)
    key = rng.choice(list(value)) if isinstance(value, dict) else rng.randrange(len(value))
    action = rng.random()
    if action < 0.1:
        del copied[key]
    elif action < 0.15 and isinstance(copied, dict):
        copied[str(rng.choice(VALUES))] = copied.pop(key)
    elif action < 0.15:
        copied.append(copied[key])
    else:
        copied[key] = _changed(copied[key], rng)
    return copied
