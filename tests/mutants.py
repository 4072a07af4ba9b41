"""Would anybody notice? Changes the rule in one place at a time, and runs tests against it.

    python -m tests.mutants feast_bc/rule --tests tests/rule

Every mutant is made in a copy of the project. It is caught if the given tests fail, or else the
checker with its first seeds; what survives both is printed with its place.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_IMPORTED = ("feast", "feast.infra.offline_stores.duckdb", "duckdb", "dask", "redis", "hypothesis")
_CAUGHT = ("", "tests", "checker")
_PYTEST = ("-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
"""What was imported before pytest began cannot have its assertions rewritten, nor need it."""

_OUTPUT = "mutant.txt"
_PATIENCE = 600.0
"""Seconds until a mutant counts as one that never ends."""

_COPIED = ("feast_bc", "tests", "benchmarks", "feature_repo", "pyproject.toml", "README.md")

_OPERATORS: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
}
_NAMES = {
    "maximum": "minimum",
    "minimum": "maximum",
    "max": "min",
    "min": "max",
    "any": "all",
    "all": "any",
    "ones": "zeros",
    "zeros": "ones",
    "NEVER": "0",
    "NONE": "0",
}


@dataclass(frozen=True)
class Mutant:
    """One change: lines and columns of what is replaced, and by what."""

    file: Path
    node: ast.expr | ast.stmt
    before: str
    after: str

    def __str__(self) -> str:
        before, after = (" ".join(text.split()) for text in (self.before, self.after))
        return f"{self.file}:{self.node.lineno}: {before}  ->  {after}"

    def applied(self, source: str) -> str:
        """The file's text with the change; no other line moves."""
        start, end = (
            _offset(source, line, column)
            for line, column in (
                (self.node.lineno, self.node.col_offset),
                (self.node.end_lineno or 0, self.node.end_col_offset or 0),
            )
        )
        padding = "\n" * (source[start:end].count("\n") - self.after.count("\n"))
        # A break of line is harmless inside brackets, and after a whole statement.
        after = f"({self.after}{padding})" if isinstance(self.node, ast.expr) else self.after
        return source[:start] + after + source[end:]


def mutants(file: Path) -> Iterator[Mutant]:
    """Every mutant of a file."""
    source = file.read_text()
    tree = ast.parse(source)
    for node in _code(tree):
        for place, after in _changes(node):
            before = ast.get_source_segment(source, place)
            yield Mutant(file.relative_to(ROOT), place, before or "", after)


def _code(node: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """Expressions and statements that are run: no annotations, docstrings or imports."""
    if isinstance(node, ast.expr | ast.stmt):
        yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr):
                yield from _code(child)


def _changes(node: ast.expr | ast.stmt) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """What may be replaced in a node, and by what source text."""
    if isinstance(node, ast.If):
        yield from ((node.test, text) for text in ("False", "True"))
    elif isinstance(node, ast.expr):
        yield from ((node, ast.unparse(other)) for other in _expressions(node))
    elif isinstance(node, ast.AugAssign):
        for other in _OPERATORS.get(type(node.op), ()):
            yield node, ast.unparse(ast.AugAssign(node.target, other(), node.value))  # type: ignore[arg-type]
    if _may_go(node):
        yield node, "pass"


def _expressions(node: ast.expr) -> Iterator[ast.expr]:
    """What an expression may be replaced by."""
    if isinstance(node, ast.Compare):
        for i, operator in enumerate(node.ops):
            for other in _OPERATORS.get(type(operator), ()):
                ops = [*node.ops[:i], other(), *node.ops[i + 1 :]]
                yield ast.Compare(node.left, ops, node.comparators)  # type: ignore[arg-type]
    elif isinstance(node, ast.BoolOp):
        for other in _OPERATORS[type(node.op)]:
            yield ast.BoolOp(other(), node.values)  # type: ignore[arg-type]
    elif isinstance(node, ast.BinOp):
        for other in _OPERATORS.get(type(node.op), ()):
            yield ast.BinOp(node.left, other(), node.right)  # type: ignore[arg-type]
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.Invert):
        yield node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield from (ast.Constant(node.value + 1), ast.Constant(node.value - 1))
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in _NAMES:
        yield ast.Name(_NAMES[node.id], node.ctx)
    elif isinstance(node, ast.Attribute) and node.attr in _NAMES:
        yield ast.Attribute(node.value, _NAMES[node.attr], node.ctx)
    elif isinstance(node, ast.IfExp):
        yield ast.IfExp(node.test, node.orelse, node.body)


def _may_go(node: ast.expr | ast.stmt) -> bool:
    """Whether a statement can be left out without a name being undefined."""
    if isinstance(node, ast.Assign):
        target, used = node.targets[0], {n.id for n in ast.walk(node.value) if hasattr(n, "id")}
        return not isinstance(target, ast.Name) or target.id in used
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call)
    return isinstance(node, ast.AugAssign | ast.Continue | ast.Break | ast.Raise)


def _offset(source: str, line: int, column: int) -> int:
    lines = source.splitlines(keepends=True)
    before = "".join(lines[: line - 1])
    return len(before) + len(lines[line - 1].encode()[:column].decode())


class Laboratory:
    """Copies of the project, each with at most one mutant at a time.

    A test run spends most of its time importing. So this process imports what the tests need of
    others' packages, and every mutant is tried in a fork of it.

    Args:
        folder: an empty folder.
        tests: pytest's arguments.
        histories: how many histories the checker runs.
        jobs: how many mutants are tried at once.
    """

    def __init__(self, folder: Path, tests: Sequence[str], histories: int, jobs: int) -> None:
        for name in _IMPORTED:
            importlib.import_module(name)
        self._tests = tests
        self._histories = histories
        self._running: dict[int, tuple[Mutant | None, Path, float]] = {}
        self._copies = [folder / str(job) for job in range(jobs)]
        for copy in self._copies:
            copy.mkdir()
            for name in _COPIED:
                source = ROOT / name
                (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / name)

    def baseline(self) -> str:
        """What the tests say of the project as it is; "" if it passes, as it should."""
        copy = self._copies[-1]
        ((_, by),) = self.results([None])
        return by and (copy / _OUTPUT).read_text()

    def results(self, mutants: Iterable[Mutant | None]) -> Iterator[tuple[Mutant | None, str]]:
        """Each mutant with what caught it: "tests", "checker" or "time"; "" if it survives."""
        for mutant in mutants:
            while not self._copies:
                yield from self._finished()
            self._start(mutant, self._copies.pop())
        while self._running:
            yield from self._finished()

    def _start(self, mutant: Mutant | None, copy: Path) -> None:
        if mutant is not None:
            original = (ROOT / mutant.file).read_text()
            (copy / mutant.file).write_text(mutant.applied(original))
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            os.setsid()  # so that its servers can be ended with it
            os._exit(self._outcome(copy))
        self._running[pid] = mutant, copy, time.monotonic() + _PATIENCE

    def _outcome(self, copy: Path) -> int:
        """In the fork: the place in `_CAUGHT` of what catches the mutant."""
        try:
            os.chdir(copy)
            with open(_OUTPUT, "w") as output:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
            sys.path[:] = [str(copy), *(p for p in sys.path if Path(p).resolve() != ROOT)]
            del sys.modules["tests"]  # of the project, not of its copy
            if self._tests:
                import pytest

                if pytest.main([*_PYTEST, *self._tests]):
                    return _CAUGHT.index("tests")
            if self._histories:
                from tests.checker.__main__ import main

                options = ["--jobs", "1", "--shorten", "0", "--histories", str(self._histories)]
                return _CAUGHT.index("checker" if main(options) else "")
        except BaseException:  # the mutant broke something at once
            traceback.print_exc()
            return _CAUGHT.index("tests")
        return _CAUGHT.index("")

    def _finished(self) -> Iterator[tuple[Mutant | None, str]]:
        time.sleep(0.05)
        for pid, (mutant, copy, deadline) in list(self._running.items()):
            found, status = os.waitpid(pid, os.WNOHANG)
            late = not found and time.monotonic() > deadline
            if not found and not late:
                continue
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            if late:
                os.waitpid(pid, 0)
            code = os.waitstatus_to_exitcode(status)
            if mutant is not None:
                shutil.copy(ROOT / mutant.file, copy / mutant.file)
            del self._running[pid]
            self._copies.append(copy)
            yield mutant, "time" if late or not 0 <= code < len(_CAUGHT) else _CAUGHT[code]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 1 if a mutant survives, 2 if nothing could be tried."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path, help="files or folders to mutate")
    parser.add_argument("--tests", nargs="*", default=[], help="pytest's arguments, run first")
    parser.add_argument("--histories", type=int, default=20, help="of the checker [20]")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at once [2]")
    options = parser.parse_args(arguments)

    files = [
        f for path in options.paths for f in ([path] if path.is_file() else path.rglob("*.py"))
    ]
    everything = [mutant for file in sorted(files) for mutant in mutants(file.resolve())]
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        laboratory = Laboratory(Path(folder), options.tests, options.histories, options.jobs)
        if output := laboratory.baseline():
            print(f"{output}\nWithout any mutant the tests fail already.")
            return 2
        for mutant, by in laboratory.results(everything):
            print(f"{by or 'SURVIVED':>8}  {mutant}", flush=True)
            if not by:
                survivors.append(mutant)
    print(f"{len(everything)} mutants, {len(survivors)} survived")
    for mutant in survivors:
        print(mutant)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
