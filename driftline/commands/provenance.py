"""How a page of results names the files that it was made from."""

import hashlib
from pathlib import Path


def with_sha256(file: Path) -> str:
    """Path and SHA-256 of a file, so that a reader can tell whether it is still the same."""
    with file.open("rb") as opened:
        return f"{file}   sha256 {hashlib.file_digest(opened, 'sha256').hexdigest()}"
