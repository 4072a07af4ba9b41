"""Imports go one way between the sub-packages of the library."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import feast_bc

ROOT = Path(feast_bc.__file__).parent
ORDER = [
    "errors",
    "feast_internals",
    "accepted",
    "stored_format",
    "columns",
    "clock",
    "page",
    "rule",
    "transforms",
    "native",
    "catalog",
    "publishing",
    "contracts",
    "views",
    "metrics",
    "offline",
    "online",
    "observed",
    "materialization",
    "stores",
    "provider",
]
"""Whatever stands here imports only what stands before it."""

ABOVE = {"cli": "observed", "alignment": "transforms", "posthoc": "publishing"}
"""These import no later one than the room named. Of each other only posthoc imports `alignment`,
and cli `posthoc`; nothing else imports them."""


def room(module: str) -> str:
    """The sub-package, or top-level module, that a module belongs to."""
    return module.split(".")[1]


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker looks at."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from _executed(child)


def imports() -> list[tuple[str, str]]:
    """Every module of the library with every module of the library that it imports."""
    found = []
    for path in ROOT.rglob("*.py"):
        if path == ROOT / "__init__.py":
            continue
        name = ".".join(["feast_bc", *path.relative_to(ROOT).with_suffix("").parts])
        for node in _executed(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "feast_bc":
                found += [(name, f"feast_bc.{alias.name}") for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("feast_bc."):
                found.append((name, str(node.module)))
            elif isinstance(node, ast.Import):
                found += [(name, a.name) for a in node.names if a.name.startswith("feast_bc.")]
    return found


def test_every_room_has_its_place() -> None:
    rooms = {p.stem for p in ROOT.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert rooms - {"__init__"} == {*ORDER, *ABOVE}


def test_imports_go_one_way() -> None:
    place = {name: ORDER.index(below) + 0.5 for name, below in ABOVE.items()}
    place |= {name: float(i) for i, name in enumerate(ORDER)}
    place["posthoc"] += 0.1
    wrong = [
        f"{importer} imports {imported}"
        for importer, imported in imports()
        if room(importer) != room(imported) and place[room(importer)] < place[room(imported)]
    ]
    assert wrong == []


def test_what_imports_a_room_above() -> None:
    users = {
        (room(importer), room(imported))
        for importer, imported in imports()
        if room(imported) in ABOVE and room(importer) != room(imported)
    }
    assert users <= {("posthoc", "alignment"), ("cli", "posthoc")}


def test_no_module_imports_itself_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for importer, imported in imports():
        graph.setdefault(importer.removesuffix(".__init__"), set()).add(imported)
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path, module])
        if module not in done:
            for imported in graph.get(module, ()):
                visit(imported, (*path, module))
            done.add(module)

    for module in list(graph):
        visit(module, ())
