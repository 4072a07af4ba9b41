"""`python -m tests.fuzz`: read changed bytes; each is a right result or an error of feast-bc.

`--coverage` lets atheris choose the changes, guided by the code that they reach; it must be
installed.
"""

from __future__ import annotations

import argparse
import logging
import random
import resource
import sys
import time
import traceback
import warnings
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

from feast_bc.errors import FeastBCError

if TYPE_CHECKING:
    from tests.fuzz.targets import Target

SECONDS = 5.0
_MIB = 2**20


def main(command_line: list[str] | None = None) -> int:
    """Run the command line; 1 if an input ends in another error, or takes too long."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=20_000, help="of all targets [%(default)s]")
    parser.add_argument("--seed", type=int, default=0, help="of the changes [0]")
    parser.add_argument("--only", metavar="TARGET", help="one target")
    parser.add_argument("--coverage", action="store_true", help="of --only, guided by atheris")
    options = parser.parse_args(command_line)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")  # numpy's, of numbers beyond float32
    with _watched() if options.coverage else nullcontext():
        from tests.fuzz.targets import targets
    with targets() as found:
        if options.only:
            found = {options.only: found[options.only]}
        if options.coverage:
            ((_, target),) = found.items()
            guided(target, options.inputs, options.seed)
        inputs = options.inputs // len(found)
        failed = [fuzz(name, each, inputs, options.seed) for name, each in found.items()]
    print(f"{inputs * len(failed)} inputs, {sum(failed)} failed.")
    return int(sum(failed) > 0)


def fuzz(name: str, target: Target, inputs: int, seed: int) -> int:
    """Read random changes.

    Returns:
        How many ended otherwise than they may.
    """
    rng = random.Random(f"{name} {seed}")  # noqa: S311 - no secret
    refused, failed, slowest = 0, 0, 0.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for data in target.seeds:
        target.read(data)
    for number in range(inputs):
        data = rng.choice(target.changes)(rng.choice(target.seeds), rng)
        began = time.process_time()
        try:
            target.read(data)
        except FeastBCError:
            refused += 1
        except Exception:
            failed += 1
            print(f"{name}, input {number}: {data[:1000]!r}\n{traceback.format_exc()}", flush=True)
        took = time.process_time() - began
        slowest = max(slowest, took)
        if took > SECONDS:
            failed += 1
            print(f"{name}, input {number}: {took:.1f} s for {data[:1000]!r}", flush=True)
    grew = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / _MIB
    print(
        f"{name:32} {inputs:8} inputs, {refused:8} refused, {failed:3} failed, slowest "
        f"{slowest * 1000:6.1f} ms, memory +{grew:.0f} MiB",
        flush=True,
    )
    return failed


def _watched() -> Any:
    """While it is open, atheris watches what is imported of feast-bc."""
    import atheris

    return atheris.instrument_imports(include=["feast_bc"])


def guided(target: Target, inputs: int, seed: int) -> None:
    """Let atheris look for inputs; it ends the process."""
    import atheris

    def change(data: bytes, max_size: int, seed: int) -> Any:
        rng = random.Random(seed)  # noqa: S311 - no secret
        start = data if rng.random() < 0.9 else rng.choice(target.seeds)
        return rng.choice(target.changes)(start, rng)[:max_size]

    def one(data: bytes) -> None:
        with suppress(FeastBCError):
            target.read(data)

    atheris.Setup(
        [sys.argv[0], f"-runs={inputs}", f"-seed={seed + 1}", "-max_len=65536", "-timeout=5"],
        one,
        custom_mutator=change,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
