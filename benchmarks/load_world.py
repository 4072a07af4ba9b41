"""Vectors that tell which version they come from, and clients that read and check them."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from feast_bc import AffineTransform
from feast_bc.columns.arrays import Matrix

SERVINGS = ("materialized", "on_read")
_HEADERS = {"Content-Type": "application/json"}
_TOLERANCE = 1e-3


def name_of(serving: str) -> str:
    """The embedding that has this serving."""
    return f"user_{serving}"


@dataclass(frozen=True)
class World:
    """Entities with one random vector per version, and orthogonal backward transformations.

    What is pushed for an entity is 2, 3, ... times its vector. Transformations are linear, so a
    served vector tells by its direction which version gave it, and by its length which push.

    Attributes:
        entities, dim: the sizes. Ids are 0, 1, ..., entities - 1.
        versions: how many there may be in the end.
    """

    entities: int
    dim: int
    versions: int

    def native(self, version: int) -> Matrix:
        """Version k's vectors of all entities, of length 1."""
        vectors = np.random.default_rng([0, version]).standard_normal((self.entities, self.dim))
        scaled: Matrix = (vectors / np.linalg.norm(vectors, axis=1)[:, None]).astype(np.float32)
        return scaled

    def backward(self, version: int) -> AffineTransform:
        """B_k."""
        square = np.random.default_rng([1, version]).standard_normal((self.dim, self.dim))
        return AffineTransform(np.linalg.qr(square).Q, from_version=version, to_version=version - 1)

    @cached_property
    def served(self) -> np.ndarray:
        """Version j's vectors of all entities as version k gives them: [j, k - j, entity, dim]."""
        shape = (2, self.versions, self.entities, self.dim)
        found = np.zeros(shape, np.float32)
        for k in range(self.versions):
            vectors = self.native(k)
            for j in range(k, -1, -1):
                if j < len(found):
                    found[j, k] = vectors
                vectors = self.backward(j).apply(vectors) if j else vectors
        return found

    def sources(self, view: int, ids: np.ndarray, vectors: Matrix) -> list[int | None]:
        """The version that each vector of view j comes from; None where none gives it."""
        length = np.linalg.norm(vectors, axis=1)
        likeness = np.einsum("kbd,bd->kb", self.served[view][:, ids], vectors)
        best = likeness.argmax(axis=0)
        ok = np.abs(likeness.max(axis=0) - length) < _TOLERANCE * length
        ok &= np.abs(length - length.round()) < _TOLERANCE * length
        ok &= (length > 0.5) & (best >= view)
        return [int(k) if fine else None for k, fine in zip(best, ok, strict=True)]


@dataclass(frozen=True)
class Answer:
    """What a client saw.

    Attributes:
        began, ended: the request, in seconds of `time.monotonic`.
        serving: of the embedding.
        sources: pairs of a view's version and of the version that gave it vectors.
        wrong: vectors that no version gives: of a mixed or foreign space, or torn.
        refused: why there was none; empty if there was.
    """

    began: float
    ended: float
    serving: str
    sources: frozenset[tuple[int, int]] = frozenset()
    wrong: int = 0
    refused: str = ""


@dataclass(frozen=True)
class Clients:
    """Threads of one process that ask one after the other, each over a connection of its own.

    Attributes:
        world: what they expect.
        count: how many.
        batch: entities in a request.
        pause: seconds between a client's requests, on average.
    """

    world: World
    count: int
    batch: int
    pause: float

    def run(self, port: int, until: float) -> list[Answer]:
        """Ask until an instant of `time.monotonic`, which all processes share; at least once."""
        with ThreadPoolExecutor(self.count) as pool:
            answers = pool.map(lambda number: self._client(number, port, until), range(self.count))
            return [answer for each in answers for answer in each]

    def _client(self, number: int, port: int, until: float) -> list[Answer]:
        rng = np.random.default_rng(number)
        answers: list[Answer] = []
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
            while not answers or time.monotonic() < until:
                serving = SERVINGS[int(rng.integers(len(SERVINGS)))]
                ids = rng.integers(0, self.world.entities, self.batch)
                answers.append(self._ask(connection, serving, ids))
                time.sleep(rng.exponential(self.pause))
        return answers

    def _ask(self, connection: http.client.HTTPConnection, serving: str, ids: np.ndarray) -> Answer:
        body = {
            "features": [f"{name_of(serving)}_v{j}:embedding" for j in (0, 1)],
            "entities": {"user_id": ids.tolist()},
            "full_feature_names": True,
        }
        began = time.monotonic()
        try:
            connection.request("POST", "/get-online-features", json.dumps(body), _HEADERS)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return Answer(began, time.monotonic(), serving, refused=repr(error))
        ended = time.monotonic()
        if response.status != 200:
            return Answer(began, ended, serving, refused=f"{response.status} {content[:300]!r}")
        return self._judged(Answer(began, ended, serving), ids, json.loads(content))

    def _judged(self, answer: Answer, ids: np.ndarray, content: Any) -> Answer:
        sources: set[tuple[int, int]] = set()
        wrong = 0
        columns = content["metadata"]["feature_names"]
        for j in (0, 1):
            column = content["results"][columns.index(f"{name_of(answer.serving)}_v{j}__embedding")]
            if set(column["statuses"]) != {"PRESENT"}:
                return replace(answer, refused=f"v{j} has nulls")
            vectors = np.array(column["values"], np.float32)
            found = self.world.sources(j, ids, vectors)
            wrong += found.count(None)
            sources |= {(j, k) for k in found if k is not None}
        return replace(answer, sources=frozenset(sources), wrong=wrong)


@dataclass(frozen=True)
class Period:
    """When a version may be what serves.

    Attributes:
        version: k.
        began: the change to it began, in seconds of `time.monotonic`.
        ended: the change to another one was over; infinity while there was none.
    """

    version: int
    began: float
    ended: float = float("inf")


def lateness(answer: Answer, periods: Sequence[Period]) -> float:
    """Seconds by which an answer has a vector of a version that served before and no longer.

    Returns:
        0 where all of them served during the request; infinity where one had never served yet.
    """
    worst = 0.0
    for view, version in answer.sources:
        waited = [
            max(0.0, answer.began - period.ended)
            for period in periods
            if max(view, period.version) == version and period.began <= answer.ended
        ]
        worst = max(worst, min(waited, default=float("inf")))
    return worst
