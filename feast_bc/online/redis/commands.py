"""Redis commands for whole batches of entities, packed without a Python object per argument.

In Redis' protocol an HSET of vectors of one dimension always has the same length, apart from its
key and its timestamps. Commands of equal length are the rows of one uint8 matrix.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from feast_bc.columns.arrays import Bytes, Matrix, RowNumbers
from feast_bc.columns.encoding import NULL, encode, head_and_body

_ABSENT = -1
# Of large vectors, this many commands are some megabytes.
_COMMANDS = 4096


@dataclass(frozen=True)
class HashFields:
    """What one view stores in the hashes of a batch of `n` entities.

    Attributes:
        timestamp_field, value_field: the names of its two fields; None for no timestamp.
        rows: int64 of shape `(m,)`, ascending: which entities get values.
        timestamps: the distinct timestamps, serialized.
        timestamp_of: int64 of shape `(m,)`, which of them each entity gets.
        stored: vectors of shape `(m, dim)`, bytes of shape `(m, width)`, or None: all are null.
    """

    timestamp_field: bytes | None
    value_field: bytes
    rows: RowNumbers
    timestamps: Sequence[bytes]
    timestamp_of: RowNumbers
    stored: Matrix | Bytes | None


def hget(keys: Sequence[bytes], field: bytes) -> bytes:
    """One HGET of `field` per key: its replies are no lists, so they are read twice as fast."""
    return _per_key(b"*3\r\n$4\r\nHGET\r\n", keys, [field])


def hmget(keys: Sequence[bytes], fields: Sequence[bytes]) -> bytes:
    """One HMGET of `fields` per key."""
    return _per_key(b"*%d\r\n$5\r\nHMGET\r\n" % (len(fields) + 2), keys, fields)


def hdel(keys: Sequence[bytes], fields: Sequence[bytes]) -> Iterator[tuple[int, Bytes]]:
    """One HDEL of `fields` per key: `(commands, bytes)`, as `hset` yields them."""
    for start in range(0, len(keys), _COMMANDS):
        some = keys[start : start + _COMMANDS]
        packed = _per_key(b"*%d\r\n$4\r\nHDEL\r\n" % (len(fields) + 2), some, fields)
        yield len(some), np.frombuffer(packed, np.uint8)


def _per_key(head: bytes, keys: Sequence[bytes], fields: Sequence[bytes]) -> bytes:
    """One command per key: its head, the key, and fields."""
    heads = {length: b"%s$%d\r\n" % (head, length) for length in set(map(len, keys))}
    tail = b"\r\n" + b"".join(map(_bulk, fields))
    return b"".join([piece for key in keys for piece in (heads[len(key)], key, tail)])


SCRIPT = b"""\
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
local last = 4 + ARGV[4]
if last > 4 then redis.call('HSET', KEYS[1], unpack(ARGV, 5, last)) end
if last < #ARGV then redis.call('HDEL', KEYS[1], unpack(ARGV, last + 1)) end
if ARGV[3] ~= '0' then redis.call('EXPIRE', KEYS[1], ARGV[3]) end
return 1"""
"""Sets and deletes fields of a hash if one of them still holds what is expected; replies 1 or 0.

Its arguments are that field, what it has to hold (nothing where there is none), the seconds after
which the key expires (0: never), how many arguments of HSET follow, these, and fields to delete.
"""


@dataclass(frozen=True)
class Guard:
    """What has to stand in the hashes of a batch of `n` entities for anything to be written.

    Attributes:
        field: the name of the field.
        stored: per entity what it has to hold; nothing where it must not be there.
    """

    field: bytes
    stored: Sequence[bytes]


Deleted = Sequence[tuple[RowNumbers, Sequence[bytes]]]
"""Which entities lose which fields."""


def guarded(
    keys: Sequence[bytes],
    guard: Guard,
    fields: Sequence[HashFields],
    deleted: Deleted,
    ttl: int | None,
    script: bytes,
) -> Iterator[tuple[RowNumbers, Bytes]]:
    """One call of SCRIPT per entity of which something is written.

    Args:
        keys: the `n` entities' keys.
        guard: what has to stand there.
        fields: per view what it stores.
        deleted: what is deleted.
        ttl: seconds after which a key expires.
        script: the digest under which the server knows SCRIPT, in hexadecimal.

    Yields:
        `(entities, bytes)`: whom the commands concern, in their order, and they themselves.
    """
    codes = np.fromiter(map(len, guard.stored), np.int64, len(keys))
    loses = np.zeros((len(deleted), len(keys)), bool)
    for mask, (rows, _) in zip(loses, deleted, strict=True):
        mask[rows] = True
        codes = codes * 2 + mask
    for entities, given in _alike(keys, fields, codes):
        lost = [names for mask, (_, names) in zip(loses, deleted, strict=True) if mask[entities[0]]]
        gone = [name for names in lost for name in names]
        if not given and not gone:
            continue
        pairs = sum(2 if each.timestamp_field is None else 4 for each, _ in given)
        place = entities.tolist()
        packed = _joined(
            [
                b"*%d\r\n$7\r\nEVALSHA\r\n" % (8 + pairs + len(gone)),
                *map(_bulk, (script, b"1")),
                *_slot(_rows([keys[i] for i in place])),
                _bulk(guard.field),
                *_slot(_rows([guard.stored[i] for i in place])),
                _bulk(b"%d" % (ttl or 0)),
                _bulk(b"%d" % pairs),
                *_pairs(given),
                *map(_bulk, gone),
            ],
            len(entities),
        )
        yield entities, packed


def guarded_arguments(
    keys: Sequence[bytes],
    guard: Guard,
    fields: Sequence[HashFields],
    deleted: Deleted,
    ttl: int | None,
) -> Iterator[tuple[int, list[bytes | int]]]:
    """The same as `(entity, arguments of EVAL)`, for clients that pack by themselves."""
    pairs = _arguments(keys, fields)
    gone: list[list[bytes]] = [[] for _ in keys]
    for rows, names in deleted:
        for row in rows.tolist():
            gone[row] += names
    for row, key in enumerate(keys):
        if pairs[row] or gone[row]:
            head: list[bytes | int] = [SCRIPT, 1, key, guard.field, guard.stored[row]]
            yield row, [*head, ttl or 0, len(pairs[row]), *pairs[row], *gone[row]]


def hset(
    keys: Sequence[bytes], fields: Sequence[HashFields], ttl: int | None
) -> Iterator[tuple[int, Bytes]]:
    """One HSET per entity with the fields of all views, and an EXPIRE where there is a TTL.

    Args:
        keys: the `n` entities' keys.
        fields: per view what it stores.
        ttl: seconds after which a key expires.

    Yields:
        `(commands, bytes)`: how many commands, and they themselves.
    """
    for entities, given in _alike(keys, fields, np.zeros(len(keys), np.int64)):
        if given:
            rows = _rows([keys[i] for i in entities.tolist()])
            yield len(entities) * (1 if ttl is None else 2), _pack(rows, given, ttl)


_Given = Sequence[tuple[HashFields, RowNumbers]]
"""Views with what they store for some entities: which of their rows."""


def _alike(
    keys: Sequence[bytes], fields: Sequence[HashFields], codes: RowNumbers
) -> Iterator[tuple[RowNumbers, _Given]]:
    """Entities whose commands have the same length, with what is stored for them.

    Args:
        keys, fields: as for `hset`.
        codes: shape `(n,)`, equal where what else is in the commands has the same length.
    """
    place = np.full((len(fields), len(keys)), _ABSENT, np.int64)
    codes, _ = pd.factorize(codes)
    lengths = np.fromiter(map(len, keys), np.int64, len(keys))
    codes = codes * (lengths.max(initial=0) + 1) + lengths
    for at, each in zip(place, fields, strict=True):
        at[each.rows] = np.arange(len(each.rows))
        length = np.full(len(keys), _ABSENT, np.int64)
        length[each.rows] = np.array([len(t) for t in each.timestamps])[each.timestamp_of]
        # Lengths of a timestamp are below 32; factorizing keeps the codes small.
        codes, _ = pd.factorize(codes * 32 + length - _ABSENT)
    order = np.argsort(codes, kind="stable")
    for alike in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        for start in range(0, len(alike), _COMMANDS):
            entities = alike[start : start + _COMMANDS]
            given = [
                (each, at[entities])
                for each, at in zip(fields, place, strict=True)
                if at[entities[0]] != _ABSENT
            ]
            yield entities, given


def hset_arguments(
    keys: Sequence[bytes], fields: Sequence[HashFields]
) -> Iterator[tuple[bytes, list[bytes]]]:
    """The same as `(key, [field, value, ...])` per entity, for clients that pack by themselves."""
    pairs = _arguments(keys, fields)
    return ((key, own) for key, own in zip(keys, pairs, strict=True) if own)


def _arguments(keys: Sequence[bytes], fields: Sequence[HashFields]) -> list[list[bytes]]:
    """Per entity its fields and their values."""
    arguments: list[list[bytes]] = [[] for _ in keys]
    for each in fields:
        stored = [NULL] * len(each.rows) if each.stored is None else encode(each.stored)
        for row, of, value in zip(
            each.rows.tolist(), each.timestamp_of.tolist(), stored, strict=True
        ):
            if each.timestamp_field is not None:
                arguments[row] += [each.timestamp_field, each.timestamps[of]]
            arguments[row] += [each.value_field, value]
    return arguments


def _pack(keys: Bytes, given: _Given, ttl: int | None) -> Bytes:
    """The commands of entities whose keys, views and timestamps have the same lengths."""
    count = 2 + sum(2 if each.timestamp_field is None else 4 for each, _ in given)
    pieces: list[bytes | Bytes] = [b"*%d\r\n$4\r\nHSET\r\n" % count, *_slot(keys)]
    pieces += _pairs(given)
    if ttl is not None:
        pieces += [b"*3\r\n$6\r\nEXPIRE\r\n", *_slot(keys), _bulk(b"%d" % ttl)]
    return _joined(pieces, len(keys))


def _pairs(given: _Given) -> list[bytes | Bytes]:
    """Fields and values, each a column."""
    pieces: list[bytes | Bytes] = []
    for each, rows in given:
        if each.timestamp_field is not None:
            pieces += [_bulk(each.timestamp_field), *_slot(_timestamps(each, rows))]
        pieces += [_bulk(each.value_field), *_values(each, rows)]
    return pieces


def _joined(pieces: Sequence[bytes | Bytes], count: int) -> Bytes:
    """Columns side by side: `count` rows of bytes; a piece of bytes is the same in each row."""
    widths = [len(p) if isinstance(p, bytes) else p.shape[1] for p in pieces]
    packed = np.empty((count, sum(widths)), np.uint8)
    start = 0
    for piece, width in zip(pieces, widths, strict=True):
        constant = isinstance(piece, bytes)
        packed[:, start : start + width] = np.frombuffer(piece, np.uint8) if constant else piece
        start += width
    return packed


def _timestamps(each: HashFields, rows: RowNumbers) -> Bytes:
    """The timestamps of some entities; they have the same length."""
    distinct, which = np.unique(each.timestamp_of[rows], return_inverse=True)
    return _rows([each.timestamps[i] for i in distinct.tolist()])[which]


def _values(each: HashFields, rows: RowNumbers) -> list[bytes | Bytes]:
    """The values of some entities as bulk strings, without a copy where they stand together."""
    if each.stored is None:
        return [_bulk(NULL)]
    together = rows[-1] - rows[0] + 1 == len(rows)
    some = each.stored[rows[0] : rows[-1] + 1] if together else each.stored[rows]
    head, body = head_and_body(some)
    return [b"$%d\r\n%s" % (len(head) + body.shape[1], head), body, b"\r\n"]


def _bulk(text: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(text), text)


def _slot(column: Bytes) -> list[bytes | Bytes]:
    """A bulk string that differs from command to command."""
    return [b"$%d\r\n" % column.shape[1], column, b"\r\n"]


def _rows(texts: Sequence[bytes]) -> Bytes:
    """Texts of one length as a matrix."""
    return np.frombuffer(b"".join(texts), np.uint8).reshape(len(texts), len(texts[0]))
