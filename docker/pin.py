"""Pins the images that compose.yaml and the Dockerfile name by the digest that their tag has now.

    python docker/pin.py            # rewrites both: name:tag becomes name:tag@sha256:...
    python docker/pin.py --check    # changes nothing; exit code 1 where an image is not pinned

A tag can be moved to other contents by whoever holds it, a digest cannot. The digests are asked of the images' own
registries by `docker buildx imagetools`, so this needs docker and a network; they are not written here by hand. Run it
again to take up a newer build of the same tag, and look at the change before you commit it.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
FILES = (HERE / "compose.yaml", HERE / "Dockerfile")
# What others publish: a tag with at most a digest behind it. Our own images and stages of a build have no registry.
_IMAGE = re.compile(
    r"(?P<before>^\s*image: |^FROM )"
    r"(?P<name>(?!driftline)[\w./-]+:[\w.-]+)(?:@(?P<digest>sha256:[0-9a-f]{64}))?(?=\s|$)",
    re.MULTILINE,
)


class PinError(RuntimeError):
    """A digest that is not to be had; the text says of what and why."""


def unpinned(text: str) -> list[str]:
    """Images that a file names by tag alone.

    >>> unpinned("FROM python:3.12-slim AS tools\\n    image: a/b:1@sha256:" + "0" * 64)
    ['python:3.12-slim']
    """
    return [match["name"] for match in _IMAGE.finditer(text) if not match["digest"]]


def pinned(text: str) -> str:
    """A file's text with every image pinned to what its tag is now.

    Raises
    ------
    PinError
        Docker is not there, or the registry does not know the image.
    """
    return _IMAGE.sub(lambda match: f"{match['before']}{match['name']}@{_digest(match['name'])}", text)


def _digest(name: str) -> str:
    command = ["docker", "buildx", "imagetools", "inspect", name, "--format", "{{.Manifest.Digest}}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PinError(f"{name}: {error}; this needs docker with buildx, and a network") from None
    digest = done.stdout.strip()
    if done.returncode or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise PinError(f"{name}: {(done.stderr or digest).strip()[:300]}")
    return digest


def main() -> int:
    """Pin, or say what is not pinned."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 where one is not pinned")
    asked = parser.parse_args()
    texts = {path: path.read_text() for path in FILES}
    if asked.check:
        lacking = [f"{path.name}: {name} is not pinned" for path, text in texts.items() for name in unpinned(text)]
        sys.stdout.write("\n".join(lacking or ["all images are pinned"]) + "\n")
        return 1 if lacking else 0
    try:
        new = {path: pinned(text) for path, text in texts.items()}
    except PinError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for path, text in new.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
