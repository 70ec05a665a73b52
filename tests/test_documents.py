"""What the documents name is there: files and folders, recipes, commands."""

import ast
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer

from docs.generate import pages
from driftline.cli import app
from driftline.cli.manual import MANUAL, call, commands

ROOT = Path(__file__).parents[1]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *(f"docs/{page.name}" for page in sorted((ROOT / "docs").glob("*.md"))),
]
_PATH = re.compile(r"`((?:streams|inference|drift|dashboards|driftline|docker|docs|tests|benchmarks)/[\w./-]*)`")
_LINK = re.compile(r"\]\(([^)#:]+?)(?:#[\w-]+)?\)")
_RECIPE = re.compile(r"(?:^|`)make ([a-z-]+)", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_paths_and_links_lead_somewhere(page):
    text = (ROOT / page).read_text()
    paths = {ROOT / path for path in _PATH.findall(text)}
    links = {(ROOT / page).parent / link for link in _LINK.findall(text)}
    assert [str(path) for path in sorted(paths | links) if not path.exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_recipes_are_there(page):
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(_RECIPE.findall((ROOT / page).read_text())) <= known


def test_the_architecture_names_every_room():
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    listed = subprocess.run(["git", "ls-files", "*/__init__.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    rooms = {Path(name).parent for name in listed.stdout.split()}
    named = {room.name for room in rooms if len(room.parts) == 2 and room.parts[0] in ("streams", "inference", "drift")}
    assert named and [name for name in sorted(named) if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize(("file", "text"), pages().items(), ids=lambda given: getattr(given, "name", ""))
def test_generated_pages_are_as_the_code_says(file, text):
    assert file.read_text() == text, "stale: run `python -m docs.generate`"


def test_every_command_has_an_example_that_its_options_take():
    assert {words for words, _ in commands(app)} == set(MANUAL)
    root = typer.main.get_command(app)
    for words in MANUAL:
        command, (_, *arguments) = root, shlex.split(call(words))
        while hasattr(command, "commands"):
            command = command.commands[arguments.pop(0)]
        command.make_context(words, arguments)  # raises where an option or a value is none


def test_every_command_that_chooses_its_exit_code_says_when_it_is_1():
    choosing = set()
    for file in sorted((ROOT / "driftline" / "cli").glob("*.py")):
        calls = {}
        for function in ast.parse(file.read_text()).body:
            if isinstance(function, ast.FunctionDef):
                text = ast.unparse(function)
                calls[function.name] = re.search(r"typer\.Exit\((?!0\))", text) or "_finish(" in text
        choosing |= {(file.stem, name) for name, chooses in calls.items() if chooses and not name.startswith("_")}
    named = {
        (command.callback.__module__.rpartition(".")[2], command.callback.__name__)
        for words, command in commands(app)
        if MANUAL[words].fails
    }
    assert choosing == named
