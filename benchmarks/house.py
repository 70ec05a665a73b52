"""The structure of the code in figures: files, rooms, floors, circles, long functions, docstrings that are owed.

    python -m benchmarks.house [--json] [--list]

A room is a module or a package right below one of the five packages. A floor is the longest way down over imports from
one room to another. Imports under ``TYPE_CHECKING`` and in functions count like all others. ``--list`` names places.
"""

import argparse
import ast
import json
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from benchmarks import names

ROOT = Path(__file__).parents[1]
PACKAGES = ("streams", "inference", "drift", "dashboards", "driftline")
LINES_MAX, COMPLEXITY_MAX, ARGUMENTS_MIN = 40, 12, 3

_BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.IfExp, ast.ExceptHandler, ast.comprehension, ast.match_case)
_Function = ast.FunctionDef | ast.AsyncFunctionDef
Graph = Mapping[str, set[str]]

#: What has places, beside a figure.
LONG = f"functions over {LINES_MAX} lines"
COMPLEX = f"functions of complexity over {COMPLEXITY_MAX}"
OWED = "public functions of 3 arguments and more without Parameters"
UNUSED = "public names that no other code uses"
STRAY_SQL = "modules with SQL outside the store and the page's queries"
CIRCLES_OF_FILES = "circles of files"
CIRCLES_OF_ROOMS = "circles of rooms"
KINDS = (LONG, COMPLEX, OWED, UNUSED, STRAY_SQL, CIRCLES_OF_FILES, CIRCLES_OF_ROOMS)


def modules() -> dict[str, Path]:
    """Modules of the five packages, by dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


@cache
def parsed(path: Path) -> ast.Module:
    """A file's tree; the figures ask for each of them several times."""
    return ast.parse(path.read_text())


def imports(known: Mapping[str, Path]) -> dict[str, set[str]]:
    """What each module imports of the others, wherever in the file it does."""
    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        graph[name] = set()
        for node in ast.walk(parsed(path)):
            asked: list[str] = []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                inner = [f"{node.module}.{alias.name}" for alias in node.names]
                asked = [one if one in known else node.module for one in inner]
            elif isinstance(node, ast.Import):
                asked = [alias.name for alias in node.names]
            graph[name] |= {one for one in asked if one in known and one != name}
    return graph


def circles(graph: Graph) -> list[list[str]]:
    """Sets of two and more that import one another, over however many steps (Tarjan's algorithm).

    >>> circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})
    [['a', 'b', 'c']]
    """
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(graph.get(name, ())):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            at = stack.index(name)
            group = stack[at:]
            del stack[at:]
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return found


def rooms(graph: Graph, package: str) -> dict[str, set[str]]:
    """Which rooms of a package import which."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, others in graph.items():
        if name.startswith(f"{package}."):
            room = name.split(".")[1]
            below = {other.split(".")[1] for other in others if other.startswith(f"{package}.")}
            found[room] |= below - {room}
    return dict(found)


def floors(graph: Graph) -> int:
    """How many floors a graph without circles has.

    >>> floors({"roof": {"wall"}, "wall": {"ground"}, "ground": set()})
    3
    """
    heights: dict[str, int] = {}

    def height(name: str) -> int:
        if name not in heights:
            heights[name] = 1 + max((height(other) for other in graph.get(name, ())), default=0)
        return heights[name]

    return 0 if circles(graph) else max(map(height, graph), default=0)


def functions(path: Path) -> Iterator[tuple[str, _Function]]:
    """Functions and methods of a file, each with its name."""

    def below(node: ast.AST, prefix: str) -> Iterator[tuple[str, _Function]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, _Function):
                yield prefix + child.name, child
                yield from below(child, f"{prefix}{child.name}.")
            elif isinstance(child, ast.ClassDef):
                yield from below(child, f"{prefix}{child.name}.")

    yield from below(parsed(path), "")


def complexity(function: _Function) -> int:
    """Branches of a function and one (McCabe 1976), those of functions inside it left out.

    >>> complexity(ast.parse("def f(a):\\n    return [b for b in a if b] if a else None").body[0])
    3
    """

    def branches(node: ast.AST) -> int:
        total = 0
        for child in ast.iter_child_nodes(node):
            if isinstance(child, _Function):
                continue
            total += isinstance(child, _BRANCHES)
            total += branches(child)
        return total

    return 1 + branches(function)


def length(function: _Function) -> int:
    """Lines of a function without its docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


@cache
def commands() -> set[str]:
    """Functions that are commands of `driftline`; `tests/test_tidy.py` checks that each parameter has a help text."""
    from driftline.cli import app  # imports Typer, which no other figure needs
    from driftline.cli.manual import commands as commands_of

    callbacks = [command.callback for _, command in commands_of(app)]
    return {f"{callback.__module__}.{callback.__qualname__}" for callback in callbacks if callback}


def owes_parameters(name: str, function: _Function) -> bool:
    """Whether a public function of three arguments and more does not say what they are.

    A function inside another function is not public.
    """
    *around, last = name.split(".")
    if last.startswith("_") or not all(part[0].isupper() for part in around):
        return False
    given = function.args
    names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs) if one.arg not in ("self", "cls")]
    text = ast.get_docstring(function) or ""
    return len(names) >= ARGUMENTS_MIN and "Parameters\n" not in text and not text.startswith("See ")


@cache
def measured() -> tuple[dict[str, object], dict[str, list[str]]]:
    """The figures, and the places that some of them count."""
    known = modules()
    graph = imports(known)
    trees = {name: parsed(path) for name, path in known.items()}
    every = [(f"{module}.{name}", node) for module, path in known.items() for name, node in functions(path)]
    texts = [path.read_text() for path in known.values()]
    by_package = {package: rooms(graph, package) for package in PACKAGES}
    places = {
        LONG: [name for name, node in every if length(node) > LINES_MAX],
        COMPLEX: [n for n, node in every if complexity(node) > COMPLEXITY_MAX],
        OWED: [
            f"{module}.{name}"
            for module, path in known.items()
            for name, node in functions(path)
            if owes_parameters(name, node) and f"{module}.{name}" not in commands()
        ],
        UNUSED: names.unused(trees),
        STRAY_SQL: names.stray_sql(trees),
        CIRCLES_OF_FILES: [" ".join(circle) for circle in circles(graph)],
        CIRCLES_OF_ROOMS: [f"{p}: {' '.join(c)}" for p, found in by_package.items() for c in circles(found)],
    }
    figures: dict[str, object] = {
        "lines": sum(text.count("\n") for text in texts),
        "files": len(known),
        "functions": len(every),
        "lines of a function, median": statistics.median(length(node) for _, node in every),
        **{name: len(found) for name, found in places.items()},
        "names that are words the glossary has replaced": names.words_of(trees).total(),
    }
    for package, found in by_package.items():
        figures[f"{package}: rooms, floors"] = f"{len(found)}, {floors(found)}"
    return figures, places


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="figures and places as JSON")
    parser.add_argument("--list", action="store_true", help="name the places, too")
    asked = parser.parse_args()
    figures, places = measured()
    if asked.json:
        print(json.dumps({"figures": figures, "places": places}, indent=2))
        return
    for name, figure in figures.items():
        print(f"{name:<60} {figure:>10,}" if isinstance(figure, int) else f"{name:<60} {figure:>10}")
        if asked.list:
            for place in places.get(name, ()):
                print(f"    {place}")


if __name__ == "__main__":
    main()
