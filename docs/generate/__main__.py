"""Write the generated pages, or with `--check` name those that are stale."""

import sys

from docs.generate import DOCS, pages

stale = {file: text for file, text in pages().items() if not file.exists() or file.read_text() != text}
for file, text in stale.items():
    if "--check" not in sys.argv[1:]:
        file.write_text(text)
    print(file.relative_to(DOCS.parent))
sys.exit(1 if stale and "--check" in sys.argv[1:] else 0)
