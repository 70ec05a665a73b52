"""Files of a registry, on a disk or in an object store: read within bounds, fetched whole, written whole."""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from inference.packages.manifest import BYTES_MAX, PACKAGE_BYTES_MAX, Manifest, hash_of
from streams.addresses import without_secrets
from streams.away import Away
from streams.private import FILE_MODE, private_folder

#: Bytes that are read at once.
_PART_BYTES = 4_194_304


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
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ImportError, RegistryError):
        raise
    except Exception as error:
        why = without_secrets(str(error))
        raise RegistryUnavailable(
            f"registry {root}: {type(error).__name__}: {why}; check its address, permissions and credentials"
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


def fetch(files: Any, root: str, manifest: Manifest, path: str, cache: Path) -> Path:
    """Copy a remote version into the cache, where its folder is named by its hash; returns the folder.

    Of each file no more is taken than the manifest says that it has; where it says nothing, than a whole package may
    have.

    Parameters
    ----------
    files, root
        A file system of fsspec, and what the registry is called.
    manifest
        Whose files to fetch; a file that the cache has with its hash is not fetched again.
    path
        The version's folder in the registry.
    cache
        A folder of this machine; only its owner may read what is made in it.

    Raises
    ------
    RegistryError
        A file is missing, or larger; or the cache's disk has less room.
    RegistryUnavailable
        The registry does not answer.
    """
    folder, fetched = cache / manifest.digest, 0
    for file, digest in manifest.files.items():
        target, source = folder / file, f"{path}/{file}"
        size = manifest.sizes.get(file, PACKAGE_BYTES_MAX - fetched)
        try:
            with asking(root):
                if target.is_file() and hash_of(target) == digest:
                    continue
                private_folder(target.parent)
                if file in manifest.sizes and size > (free := shutil.disk_usage(target.parent).free):
                    raise RegistryError(f"{source}: {size:,} bytes, {free:,} are free in {cache}; make room there")
                fetched += _fetch_file(files, source, target, size)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise RegistryError(f"{source} is missing; add the version anew") from None
    return folder


def _fetch_file(files: Any, source: str, target: Path, size: int) -> int:
    """Copy a file of at most so many bytes, whole or not at all; returns how many it has."""
    # Threads that load two routes of a model may fetch the same version at once.
    beside, taken = target.with_name(f"{target.name}.{os.getpid()}.{threading.get_ident()}"), 0
    try:
        with files.open(source, "rb") as opened, beside.open("wb") as copy:
            beside.chmod(FILE_MODE)
            while part := opened.read(min(_PART_BYTES, size + 1 - taken)):
                taken += len(part)
                if taken > size:
                    raise RegistryError(
                        f"{source}: it has more than the {size:,} bytes that are taken of it, so it is not what was "
                        "added; add the version anew"
                    )
                copy.write(part)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    return taken


def put(files: Any, source: Path, target: str) -> None:
    """Copy a file of this machine into the registry; on a disk only its owner may read it there.

    Parameters
    ----------
    files
        A file system of fsspec.
    source, target
        The file, and its path in the registry; missing folders are made.
    """
    if isinstance(files, LocalFileSystem):
        private_folder(Path(target).parent)
        files.put_file(str(source), target)
        Path(target).chmod(FILE_MODE)
    else:
        files.makedirs(target.rpartition("/")[0], exist_ok=True)
        files.put_file(str(source), target)


def write_whole(files: Any, path: str, value: bytes) -> None:
    """Write a file so that it is there whole or not at all.

    Parameters
    ----------
    files
        A file system of fsspec; whether a file is there already is seen on a disk alone.
    path
        In the registry; its folder is there.
    value
        What it shall hold.

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
