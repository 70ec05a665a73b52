"""What a version of a model consists of: every file with its hash and its size, and one hash over all."""

import hashlib
import re
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import msgspec

from inference.packages.model_toml import ModelPackage

FILE = "manifest.json"
FORMAT = 1
#: A manifest that is larger is not read, a package of more files not added.
BYTES_MAX = 16_777_216
FILES_MAX = 10_000
#: Bytes of all files of a version, 64 GiB.
PACKAGE_BYTES_MAX = 68_719_476_736
_HASH = re.compile("[0-9a-f]{64}")
# What a path of ours never holds: a backslash is a separator elsewhere, a control character stands in no name.
_ODD = re.compile("[\\\\\x00-\x1f\x7f]")


class ManifestError(ValueError):
    """A manifest that contradicts itself, or a file that lies outside of its folder."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Files of one version: path below the folder -> blake2b of the contents; ``digest`` is the hash of all that.

    ``sizes`` are their bytes, by which it is known before a file is fetched how much of it to take; empty in manifests
    of before. They are no part of the digest, for the hashes settle them: a wrong one refuses a file and lets none in.
    """

    name: str
    version: str
    digest: str
    files: dict[str, str]
    format: int = FORMAT
    sizes: dict[str, int] = {}


def manifest_of(package: ModelPackage, folder: Path) -> Manifest:
    """List and hash the files of a package's folder; hidden files, caches and the manifest itself are no part of it.

    Raises
    ------
    ManifestError
        A link leads out of the folder: what it leads to would be copied, whoever may read it. There are too many
        files, or too large ones, or one whose name is none.
    """
    listed = sorted(_files(folder))
    sizes = {path: file.stat().st_size for path, file in listed}
    if (total := sum(sizes.values())) > PACKAGE_BYTES_MAX:
        raise ManifestError(
            f"{folder}: its files have {total:,} bytes, a package at most {PACKAGE_BYTES_MAX:,}; leave out what the "
            "model does not read"
        )
    files = {path: hash_of(file) for path, file in listed}
    digest = _digest(package.name, package.version, files)
    return Manifest(name=package.name, version=package.version, digest=digest, files=files, sizes=sizes)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    root, count = folder.resolve(), 0
    for file in folder.rglob("*"):
        path = file.relative_to(folder)
        if path.name == FILE or any(part.startswith((".", "__pycache__")) for part in path.parts):
            continue
        if not file.resolve().is_relative_to(root):
            raise ManifestError(f"{file}: a link that leads out of the package; put the file itself there")
        if not file.is_file():
            continue
        count += 1
        if count > FILES_MAX:
            raise ManifestError(f"{folder}: more than {FILES_MAX:,} files; name the folder of one package")
        if _ODD.search(str(path)):
            raise ManifestError(f"{str(file)!r}: a backslash or a control character in a file's name; rename it")
        yield path.as_posix(), file


def read_manifest(value: bytes, name: str, version: str) -> Manifest:
    """Read a manifest that may come from anywhere.

    Parameters
    ----------
    value
        The file's bytes.
    name, version
        Whose manifest was asked for: one that says others is refused.

    Raises
    ------
    ManifestError
        It is of another version, its hash is not that of its list, a path leads out of the folder, or its sizes are
        none.
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
    if not _HASH.fullmatch(manifest.digest) or not all(map(_HASH.fullmatch, manifest.files.values())):
        raise ManifestError(f"{name} {version}: its manifest holds a hash that is none; add the version anew")
    for path in map(PurePosixPath, manifest.files):
        if path.is_absolute() or not path.parts or ".." in path.parts or _ODD.search(str(path)):
            raise ManifestError(
                f"{name} {version}: {str(path)!r} leads out of the version's folder; add the version anew"
            )
    sizes = manifest.sizes
    if sizes and (sizes.keys() != manifest.files.keys() or min(sizes.values()) < 0):
        raise ManifestError(
            f"{name} {version}: its manifest has sizes of other files, or below 0; add the version anew"
        )
    if (total := sum(sizes.values())) > PACKAGE_BYTES_MAX:
        raise ManifestError(
            f"{name} {version}: its files have {total:,} bytes, at most {PACKAGE_BYTES_MAX:,} are fetched; "
            "add a smaller one"
        )
    return manifest


def hash_of(file: Path) -> str:
    """Hash a file's contents: blake2b of 32 bytes, in hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=32)).hexdigest()


def anybody_writes(folder: Path, root: Path) -> bool:
    """Whether everybody on this machine may change what lies in a version's folder, or put another in its place."""
    files = (path for path in folder.rglob("*") if not path.is_symlink())
    return any(path.stat().st_mode & stat.S_IWOTH for path in (root, folder.parent, folder, *files))


def _digest(name: str, version: str, files: dict[str, str]) -> str:
    listed = msgspec.json.encode([name, version, sorted(files.items())])
    return hashlib.blake2b(listed, digest_size=32).hexdigest()
