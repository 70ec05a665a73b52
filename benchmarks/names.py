"""Names in the code: public ones that no other code uses, words that the glossary has replaced; and SQL that strays.

python -m benchmarks.names        # how often each word still names something, as `tests/tidy.toml` has it
"""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

#: Names for whatever is at hand: they count where they are the whole name.
FILLERS = frozenset("found said told one own place much asked heard take anew".split())  # noqa: SIM905
#: Words that have a better one in the field: they count as a part of a name, too.
REPLACED = frozenset(
    """
    turn turns holdings outbox begun portions settle fold hopes harm lane lanes yardstick tether lifeline patience desk
    halves freeze scene heard opinions twin canvas sweep
    """.split()  # noqa: SIM905
)
#: Where SQL is written: the store's own package, and the page's queries.
SQL_ROOMS = ("drift.store", "dashboards.queries")
#: Methods that a library calls: PyTorch's modules, and the settings of pydantic.
HOOKS = frozenset({"forward", "settings_customise_sources"})
_SQL = re.compile(
    r"\b(SELECT\b.*\bFROM|INSERT\s+INTO|(CREATE|ALTER|DROP|OPTIMIZE|TRUNCATE)\s+(TABLE|DATABASE|VIEW))\b", re.DOTALL
)
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
Trees = Mapping[str, ast.Module]
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def bound(tree: ast.AST) -> Iterator[str]:
    """Names that a module gives to something: definitions, parameters, variables, fields, import aliases.

    >>> list(bound(ast.parse("def f(a):\\n    b.c = a\\n    return [d for d in a]")))
    ['f', 'a', 'c', 'd']
    """
    for node in ast.walk(tree):
        if isinstance(node, _Definition):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname


def words(names: Iterator[str]) -> Counter[str]:
    """How often each replaced word is a name or a part of one.

    >>> sorted(words(iter(["found", "found_at", "HarmLane", "_told"])).items())
    [('found', 1), ('harm', 1), ('lane', 1), ('told', 1)]
    """
    counts: Counter[str] = Counter()
    for name in names:
        bare = name.strip("_")
        if bare in FILLERS:
            counts[bare] += 1
        counts.update(part for part in map(str.lower, _PART.findall(bare)) if part in REPLACED and part != bare.lower())
        counts.update([bare.lower()] if bare.lower() in REPLACED - FILLERS else [])
    return counts


def words_of(trees: Trees) -> Counter[str]:
    """The same over modules, their own names among them."""
    counts: Counter[str] = Counter()
    for module, tree in trees.items():
        counts += words(bound(tree)) + words(iter([module.rpartition(".")[2]]))
    return counts


def unused(trees: Trees) -> list[str]:
    """Public functions, classes and methods whose name stands nowhere else in the packages.

    A name counts as used where it is read, imported, an attribute or a text, in whatever sense. What a decorator
    registers is used by it, and a hook (`HOOKS`) by its library; names that an `__init__` exports are the package's
    promise, and of the `drift` library so are the methods of an exported class.
    """
    exported = {name for module, tree in trees.items() if module.split(".")[0] == "drift" for name in _exported(tree)}
    definitions: dict[str, list[str]] = defaultdict(list)
    used: Counter[str] = Counter()
    for module, tree in trees.items():
        for name, full in _public(tree, module):
            if name not in HOOKS and full.split(".")[-2] not in exported:
                definitions[name].append(full)
        used.update(_used(tree))
    return sorted(full for name, places in definitions.items() if not used[name] for full in places)


def stray_sql(trees: Trees) -> list[str]:
    """Modules outside the store and the page's queries whose texts hold statements of SQL."""
    return [
        module
        for module, tree in trees.items()
        if not module.startswith(SQL_ROOMS) and any(map(_SQL.search, _texts(tree)))
    ]


def _public(tree: ast.AST, before: str) -> Iterator[tuple[str, str]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, _Definition) and not node.name.startswith("_"):
            if not node.decorator_list or _plain(node):
                yield node.name, f"{before}.{node.name}"
            if isinstance(node, ast.ClassDef):
                yield from _public(node, f"{before}.{node.name}")


def _plain(node: _Definition) -> bool:
    """Whether no decorator hands the function to somebody else."""
    names = {ast.unparse(decorator).partition("(")[0] for decorator in node.decorator_list}
    return names <= {
        "property",
        "classmethod",
        "staticmethod",
        "cached_property",
        "contextmanager",
        "override",
        "cache",
    }


def _used(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield node.name
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.value


def _exported(tree: ast.Module) -> Iterator[str]:
    """Names in a module's ``__all__``."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            yield from ast.literal_eval(node.value)


def _texts(tree: ast.AST) -> Iterator[str]:
    """Texts of a module, a formatted one with its gaps as spaces; docstrings are left out."""
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | _Definition) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield " ".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


if __name__ == "__main__":
    from benchmarks.house import modules

    for word, count in sorted(
        words_of({name: ast.parse(path.read_text()) for name, path in modules().items()}).items()
    ):
        print(f"{word} = {count}")
