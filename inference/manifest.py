"""What a version of a model consists of: every file with its hash, and one hash over all."""

import hashlib
from pathlib import Path, PurePosixPath

import msgspec

from inference.package import ModelPackage

FILE = "manifest.json"
FORMAT = 1


class ManifestError(ValueError):
    """A manifest that contradicts itself or points outside of its folder."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Files of one version: path below the folder -> blake2b of the contents; ``digest`` is the hash of all that."""

    name: str
    version: str
    digest: str
    files: dict[str, str]
    format: int = FORMAT


def manifest_of(package: ModelPackage, folder: Path) -> Manifest:
    """List and hash the files of a package's folder; hidden files, caches and the manifest itself are no part of it."""
    files = {}
    for file in sorted(folder.rglob("*")):
        path = file.relative_to(folder)
        if file.is_file() and path.name != FILE and not any(p.startswith((".", "__pycache__")) for p in path.parts):
            files[path.as_posix()] = hash_of(file)
    return Manifest(
        name=package.name, version=package.version, digest=_digest(package.name, package.version, files), files=files
    )


def read_manifest(value: bytes, name: str, version: str) -> Manifest:
    """Read a manifest that may come from anywhere.

    Raises
    ------
    ManifestError
        It is of another version, its hash is not that of its list, or a path leads out of the folder.
    """
    try:
        manifest = msgspec.json.decode(value, type=Manifest)
    except msgspec.DecodeError as error:
        raise ManifestError(f"{name} {version}: no manifest: {error}") from error
    if manifest.format != FORMAT:
        raise ManifestError(f"{name} {version}: manifest format {manifest.format}, {FORMAT} is known; upgrade")
    if (manifest.name, manifest.version) != (name, version):
        raise ManifestError(f"{name} {version}: its manifest is that of {manifest.name} {manifest.version}")
    if manifest.digest != _digest(name, version, manifest.files):
        raise ManifestError(f"{name} {version}: the manifest was changed after it was written; add the version anew")
    for path in map(PurePosixPath, manifest.files):
        if path.is_absolute() or not path.parts or ".." in path.parts:
            raise ManifestError(f"{name} {version}: {str(path)!r} leads out of the version's folder")
    return manifest


def hash_of(file: Path) -> str:
    """Hash a file's contents: blake2b of 32 bytes, in hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=32)).hexdigest()


def _digest(name: str, version: str, files: dict[str, str]) -> str:
    listed = msgspec.json.encode([name, version, sorted(files.items())])
    return hashlib.blake2b(listed, digest_size=32).hexdigest()
