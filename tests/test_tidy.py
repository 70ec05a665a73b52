"""The style that a reviewer would hold up, as a test; what falls short today stands in `tidy.toml`, which shrinks."""

import ast
import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from benchmarks import house, names
from driftline.cli import app
from streams.formats.table import FORMATS
from streams.kafka.topics import NAMES

#: A name in backticks, in a docstring.
_ALONE = re.compile(r"`([a-z_]{2,})`")
#: Stages, commands, tables and formats that first pages speak of.
_OTHER_WORDS = frozenset({
    *(wire_format.name for wire_format in FORMATS),
    *("auto", "count", "doctor", "down", "pip", "score", "status"),
    *("counts_in", "dead_letters", "label_counts", "label_counts_in", "predictions_by_id", "references"),
})  # fmt: skip
ROOT = Path(__file__).parents[1]
KNOWN = tomllib.loads(Path(__file__).with_name("tidy.toml").read_text())
_NAMED = re.compile(rf"`((?:{'|'.join(house.PACKAGES)})(?:\.(?!toml)\w+)+)`")
_REMEDIES = {
    house.UNUSED: "new: remove it, or make it private; what only tests use is theirs",
    house.STRAY_SQL: "new: ask `drift.store`, or add a query to the page's",
}


@pytest.mark.parametrize("kind", house.KINDS)
def test_nothing_new_falls_short_and_what_is_mended_leaves_the_list(kind):
    _, places = house.measured()  # here, and not at import: it reads all files, and every worker imports this one
    assert set(places) == set(house.KINDS)
    listed = set(KNOWN.get(kind, []))
    found = set(places[kind])
    assert sorted(found - listed) == [], _REMEDIES.get(kind, "new: make it shorter, or simpler, or say its parameters")
    assert sorted(listed - found) == [], "mended: take it off the list in tidy.toml"


def test_replaced_words_name_nothing_new():
    """The words that `docs/GLOSSARY.md` has replaced (`benchmarks.names`), each with how often it is still a name."""
    trees = {name: house.parsed(path) for name, path in house.modules().items()}
    counts = names.words_of(trees)
    grown = {word: count for word, count in counts.items() if count > KNOWN["words"].get(word, 0)}
    assert grown == {}, "say which thing it is; where words have gone, lower the counts: python -m benchmarks.names"


def test_every_parameter_of_a_command_has_a_help_text():
    """It stands for the `Parameters` section, which `benchmarks.house` does not ask of a command."""

    def without_help(words: str, command: Any) -> Iterator[str]:
        for name, inner in getattr(command, "commands", {}).items():
            yield from without_help(f"{words} {name}", inner)
        yield from (f"{words}: {parameter.name}" for parameter in command.params if not parameter.help)

    assert list(without_help("driftline", typer.main.get_command(app))) == []


def _is_there(name: str) -> bool:
    """Whether a dotted name leads to a module, or to something in one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        module = ROOT.joinpath(*parts[:length])
        if not (module.is_dir() or module.with_suffix(".py").is_file()):
            continue
        thing = importlib.import_module(".".join(parts[:length]))
        for part in parts[length:]:
            fields = {name for kind in getattr(thing, "__mro__", ()) for name in getattr(kind, "__annotations__", {})}
            if part in fields:
                return True
            if not hasattr(thing, part):
                return False
            thing = getattr(thing, part)
        return True
    return False


@pytest.mark.parametrize("package", house.PACKAGES)
def test_modules_and_names_that_texts_refer_to_are_there(package):
    missing = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for name in _NAMED.findall(path.read_text())
        if not _is_there(name)
    ]
    assert missing == []


@pytest.mark.parametrize("package", house.PACKAGES)
def test_the_first_page_of_a_room_names_what_is_in_it(package):
    """`x` alone, in the docstring of a room, is a file or a name of it, a topic, or a word of `_OTHER_WORDS`."""
    strange = {}
    for page in sorted((ROOT / package).rglob("__init__.py")):
        tree = ast.parse(page.read_text())
        imported = {alias.asname or alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
                    for alias in node.names}  # fmt: skip
        room = {path.stem for path in page.parent.rglob("*") if "__pycache__" not in path.parts}
        named = set(_ALONE.findall(ast.get_docstring(tree) or ""))
        if unknown := named - room - imported - NAMES - set(house.PACKAGES) - _OTHER_WORDS:
            strange[str(page.relative_to(ROOT))] = sorted(unknown)
    assert strange == {}
