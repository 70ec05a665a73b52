"""The site is built as `make docs` builds it: every link leads somewhere, and no page loads anything from elsewhere."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[3]


def test_the_site_builds_strictly(tmp_path: Path) -> None:
    """`mkdocs --strict` fails on links and anchors that lead nowhere; `docs/generate/site.py` on other hosts."""
    tools = Path(sys.executable).parent
    command = ["make", "-o", ".venv/ready", "site", f"BIN={tools}", f"ARGS=--site-dir {tmp_path / 'site'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {page.stem for page in (tmp_path / "site").glob("*.html")}
    assert pages - {"404"} == {page.stem for page in (ROOT / "docs").glob("*.md")}
