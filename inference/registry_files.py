"""Files of a registry, on a disk or in an object store: read within bounds, fetched whole, written whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from inference.manifest import BYTES_MAX, Manifest, hash_of
from streams.away import Away
from streams.private import FILE_MODE, private_folder


class RegistryError(ValueError):
    """A version that is not there, is not whole, or is there already with other contents."""


class RegistryUnavailable(Away, OSError):
    """The registry does not answer, or nothing at all is there: a folder that is not mounted, a server that is down."""


@contextmanager
def asking(root: str) -> Iterator[None]:
    """Tell what is not there, which is an answer, from a question without one: a library of an object store raises
    whatever it likes."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ImportError):
        raise
    except Exception as error:
        raise RegistryUnavailable(
            f"registry {root}: {type(error).__name__}: {error}; check its address, permissions and credentials"
        ) from error


def read_small(files: Any, root: str, path: str) -> bytes:
    """Read a manifest, a tombstone or a `model.toml`.

    Parameters
    ----------
    files, root
        A file system of fsspec, and what the registry is called.

    Raises
    ------
    RegistryUnavailable
        The registry does not answer.
    RegistryError
        The file is too large to be one; it is not read whole.
    """
    with asking(root), files.open(path, "rb") as opened:
        value: bytes = opened.read(BYTES_MAX + 1)
    if len(value) > BYTES_MAX:
        raise RegistryError(f"{path}: it is larger than {BYTES_MAX:,} bytes; add the version anew")
    return value


def fetch(files: Any, root: str, manifest: Manifest, place: str, cache: Path) -> Path:
    """Copy a remote version into the cache, where its folder is named by its hash; returns the folder."""
    folder = cache / manifest.digest
    for file, digest in manifest.files.items():
        target = folder / file
        try:
            with asking(root):
                if not target.is_file() or hash_of(target) != digest:
                    private_folder(target.parent)
                    beside = target.with_name(f"{target.name}.{os.getpid()}")
                    files.get_file(f"{place}/{file}", str(beside))
                    beside.chmod(FILE_MODE)
                    beside.replace(target)
        except (FileNotFoundError, NotADirectoryError):
            raise RegistryError(f"{place}/{file} is missing; add the version anew") from None
    return folder


def put(files: Any, source: Path, target: str) -> None:
    """Copy a file of this machine into the registry; on a disk only its owner may read it there."""
    if isinstance(files, LocalFileSystem):
        private_folder(Path(target).parent)
        files.put_file(str(source), target)
        Path(target).chmod(FILE_MODE)
    else:
        files.makedirs(target.rpartition("/")[0], exist_ok=True)
        files.put_file(str(source), target)


def write_whole(files: Any, path: str, value: bytes) -> None:
    """Write a file so that it is there whole or not at all.

    Raises
    ------
    RegistryError
        It is there already.
    """
    if isinstance(files, LocalFileSystem):
        beside = Path(f"{path}.{os.getpid()}")
        beside.write_bytes(value)
        beside.chmod(FILE_MODE)
        try:
            os.link(beside, path)
        except FileExistsError:
            raise RegistryError(f"{path}: somebody added this version at the same moment; look at theirs") from None
        finally:
            beside.unlink()
    else:
        files.pipe_file(path, value)
