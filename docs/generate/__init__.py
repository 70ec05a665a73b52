"""The pages that are made from code: `docs/configuration.md` and `docs/cli.md`.

`python -m docs.generate` writes them; `tests/test_documents.py` fails where they are stale.
"""

from pathlib import Path

from docs.generate import cli, configuration

DOCS = Path(__file__).parents[1]


def pages() -> dict[Path, str]:
    """Each page's file and the text that it should have."""
    example = (DOCS / "driftline.example.toml").read_text()
    return {DOCS / "configuration.md": configuration.page(example), DOCS / "cli.md": cli.page()}
