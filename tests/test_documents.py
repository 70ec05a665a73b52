"""What the documents name is there: files and folders, recipes, commands."""

import re
import subprocess
from pathlib import Path

import pytest

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
