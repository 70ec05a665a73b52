"""Hooks of the site's build (`mkdocs.yml`); they run in the environment of `mkdocs`, without Driftline."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_OUTSIDE = re.compile(r"\]\(\.\./([^)]+)\)")
#: What a browser loads by itself: scripts, style sheets, pictures, frames.
_LOADED = re.compile(r"""<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=["']?(?:https?:)?//[^>]*>""")


def on_page_markdown(markdown: str, config: Mapping[str, Any], **_: Any) -> str:
    """Point links that leave `docs/` at the repository."""
    root = Path(config["docs_dir"]).parent
    for path in _OUTSIDE.findall(markdown):
        if not (root / path.partition("#")[0]).exists():
            raise FileNotFoundError(f"a page links to ../{path}, which does not exist")
    return _OUTSIDE.sub(rf"]({config['extra']['files']}/\1)", markdown)


def on_post_page(output: str, **_: Any) -> str:
    """Refuse a page that loads something from another host."""
    loaded = [tag for tag in _LOADED.findall(output) if 'rel="canonical"' not in tag and "rel=canonical" not in tag]
    if loaded:
        raise ValueError(f"the page loads from another host: {loaded}")
    return output
