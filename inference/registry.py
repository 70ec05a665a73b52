"""The registry: model packages under ROOT/NAME/VERSION/, on a disk or in an object store, each version for ever.

A version exists when its manifest does, which is written last and lists every file with its hash; so half an upload
is no version, and a byte that changed is found before the model is loaded.

Names and versions are checked before a path is made of them (`streams.names`), and a path that leads out of the root,
by a link, is refused. A Python class runs unasked only from a version that was added to this machine's own folder, and
that not everybody may write to.
"""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import fsspec
import msgspec
import platformdirs
from fsspec.implementations.local import LocalFileSystem

from inference.artefacts import inspect_artefact, load_artefact
from inference.devices import device
from inference.manifest import BYTES_MAX, FILE, Manifest, ManifestError, hash_of, manifest_of, read_manifest
from inference.package import ModelPackage, nearest, read_package
from streams.away import Away
from streams.logs import logger
from streams.names import check_name, check_registry, is_name

if TYPE_CHECKING:
    from inference.batching import Scorer

#: File in place of a removed version, with its digest.
TOMBSTONE = "removed.json"


class RegistryError(ValueError):
    """A version that is not there, is not whole, or is there already with other contents."""


class RegistryUnavailable(Away, OSError):
    """The registry does not answer, or nothing at all is there: a folder that is not mounted, a server that is down."""


class VersionRemoved(RegistryError):
    """A version that was there and was removed."""


class _Tombstone(msgspec.Struct, frozen=True):
    digest: str


class Registry:
    """Packages below a root.

    Parameters
    ----------
    root
        A folder, or anything fsspec understands: ``s3://bucket/models``.
    cache
        Where packages of a remote root are kept on this machine; the user's cache folder when absent.
    """

    def __init__(self, root: str | Path, cache: Path | None = None) -> None:
        self.root = check_registry(str(root))
        self._files, path = fsspec.core.url_to_fs(self.root)
        self._path = str(path).rstrip("/")
        self._cache = cache or Path(platformdirs.user_cache_dir("driftline")) / "models"

    @property
    def local(self) -> bool:
        """Whether the packages lie in this machine's own files."""
        return isinstance(self._files, LocalFileSystem)

    def add(self, folder: str | Path) -> Manifest:
        """Copy a package in, under the name and version of its `model.toml`.

        The same contents again are accepted and change nothing.

        Raises
        ------
        RegistryError
            The version exists with other contents.
        PackageError, ArtefactError
            The package could not be loaded.
        """
        folder = Path(folder)
        package = read_package(folder)
        inspect_artefact(package, folder)
        manifest = manifest_of(package, folder)
        known = self._find(package.name, package.version)
        removed = self._removed(package.name, package.version)
        if removed is not None and removed != manifest.digest:
            raise RegistryError(
                f"{package.name} {package.version} was removed from {self.root}, and had other contents; a version "
                "never changes, and what it said is kept under its name: give this one a new version"
            )
        if known is not None:
            if known.digest != manifest.digest:
                changed = sorted({file for file, _ in known.files.items() ^ manifest.files.items()})
                raise RegistryError(
                    f"{package.name} {package.version} is in {self.root} with other contents ({', '.join(changed)}); "
                    "a version never changes: give this one a new version"
                )
            return known
        place = self._place(package.name, package.version)
        for file in manifest.files:
            target = f"{place}/{file}"
            self._files.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._files.put_file(str(folder / file), target)
        self._write(f"{place}/{FILE}", msgspec.json.format(msgspec.json.encode(manifest)))
        if removed is not None:
            self._files.rm_file(f"{place}/{TOMBSTONE}")
        return manifest

    def remove(self, name: str, version: str) -> Manifest:
        """Delete a version's files. A word of it stays: who has counted over it knows that it is gone for good, and
        no other contents take its name.

        Raises
        ------
        RegistryError
            There is no such version.
        """
        manifest = self._existing(name, version)
        place = self._place(name, version)
        self._files.pipe_file(f"{place}/{TOMBSTONE}", msgspec.json.encode(_Tombstone(manifest.digest)))
        self._files.rm_file(f"{place}/{FILE}")  # From here on it is no version.
        for file in manifest.files:
            with suppress(FileNotFoundError):
                self._files.rm_file(f"{place}/{file}")
        return manifest

    def list(self, name: str | None = None) -> Sequence[Manifest]:
        """Every version, or those of one model; older versions first. What is none of ours is passed over."""
        names = [check_name("model", name)] if name is not None else self._below(self._path, "model")
        places = [(name, version) for name in names for version in self._below(f"{self._path}/{name}", "version")]
        known = []
        for place in places:
            try:
                known.append(self._find(*place))
            except (ManifestError, RegistryError) as error:  # One damaged version hides no other.
                logger("inference.registry").warning(
                    "registry.damaged", model=place[0], version=place[1], why=str(error)
                )
        return sorted(filter(None, known), key=lambda manifest: (manifest.name, version_key(manifest.version)))

    def away(self) -> str:
        """Why nothing can be known of any version: the root does not answer, or holds nothing, as the folder of a disk
        that is not mounted; empty where it answers.
        """
        try:
            empty = not self._files.ls(self._path, detail=False)
        except FileNotFoundError:
            return f"{self.root} is not there; mount it, or `driftline model add`" if self.local else ""
        except Exception as error:  # Each kind of store has errors of its own.
            return f"{self.root} does not answer: {error}"
        return f"{self.root} is empty; mount its disk, or `driftline model add`" if empty and self.local else ""

    def folder(self, name: str, version: str) -> Path:
        """A version's folder on this machine, every file checked against the manifest.

        Raises
        ------
        RegistryError
            No such version, or a file is missing or changed.
        VersionRemoved
            It was removed.
        RegistryUnavailable
            Nobody knows now.
        """
        manifest = self._existing(name, version)
        place = self._place(name, version)
        folder = Path(place) if self.local else self._fetched(manifest, place)
        for file, digest in manifest.files.items():
            inside = not self.local or (folder / file).resolve().is_relative_to(folder.resolve())
            with self._asking():
                whole = inside and (folder / file).is_file() and hash_of(folder / file) == digest
            if not whole:
                raise RegistryError(f"{folder / file} is not what {name} {version} was added with; add it anew")
        return folder

    def package(self, name: str, version: str) -> ModelPackage:
        """The `model.toml` of a version.

        Raises
        ------
        RegistryError, PackageError
            There is no such version, or its `model.toml` names another one.
        """
        return self._read(name, version)[1]

    def load(self, name: str, version: str, on: str = "auto", *, trust_code: bool = False) -> "Scorer":
        """Load a version, ready to score.

        Parameters
        ----------
        on
            See `inference.devices.device`.
        trust_code
            Run a Python class wherever it lies. Otherwise one runs only from a root in this machine's own files, from
            a folder that not everybody may write to.
        """
        from inference.batching import Scorer  # brings NumPy: to list versions takes none

        folder, package = self._read(name, version)
        trusted = trust_code or (self.local and not _anybody_writes(folder, Path(self._path)))
        return Scorer(package, load_artefact(package, folder, device(on), trust_code=trusted))

    def _read(self, name: str, version: str) -> tuple[Path, ModelPackage]:
        folder = self.folder(name, version)
        package = read_package(folder)
        if (package.name, package.version) != (name, version):
            raise RegistryError(
                f"{folder}: its model.toml is that of {package.name} {package.version}, not of {name} {version}; "
                f"add it under its own name, or correct model.toml and add it anew"
            )
        return folder, package

    def _place(self, name: str, version: str) -> str:
        """Where a version lies; both names are checked, so that it lies below the root.

        Raises
        ------
        NameRefused, RegistryError
            A name is none, or a link on the way leads out of the root.
        """
        place = f"{self._path}/{check_name('model', name)}/{check_name('version', version)}"
        if self.local and not Path(place).resolve().is_relative_to(Path(self._path).resolve()):
            raise RegistryError(f"{place}: a link that leads out of {self.root}; add the package itself")
        return place

    def _fetched(self, manifest: Manifest, place: str) -> Path:
        """Copy a remote version into the cache, where its folder is named by its hash."""
        folder = self._cache / manifest.digest
        for file, digest in manifest.files.items():
            target = folder / file
            try:
                with self._asking():
                    if not target.is_file() or hash_of(target) != digest:
                        target.parent.mkdir(parents=True, exist_ok=True)
                        beside = target.with_name(f"{target.name}.{os.getpid()}")
                        self._files.get_file(f"{place}/{file}", str(beside))
                        beside.replace(target)
            except (FileNotFoundError, NotADirectoryError):
                raise RegistryError(f"{place}/{file} is missing; add the version anew") from None
        return folder

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Tell what is not there, which is an answer, from a question without one: a library of an object store raises
        whatever it likes."""
        try:
            yield
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ImportError):
            raise
        except Exception as error:
            raise RegistryUnavailable(f"registry {self.root}: {type(error).__name__}: {error}") from error

    def _existing(self, name: str, version: str) -> Manifest:
        manifest = self._find(name, version)
        if manifest is not None:
            return manifest
        if self._removed(name, version) is not None:
            raise VersionRemoved(f"{name} {version} was removed from {self.root}")
        names = tuple(sorted(self._below(self._path, "model")))
        if not names:
            raise RegistryUnavailable(f"{name} {version} is not in {self.root}; it is empty, or not mounted here")
        versions = tuple(known.version for known in self.list(name))
        hint = nearest(version, versions) if versions else nearest(name, names)
        raise RegistryError(f"{name} {version} is not in {self.root}{hint}")

    def _removed(self, name: str, version: str) -> str | None:
        """Hash of the contents that a removed version had; None where none was removed."""
        try:
            value = self._head(f"{self._place(name, version)}/{TOMBSTONE}")
            return msgspec.json.decode(value, type=_Tombstone).digest
        except (FileNotFoundError, NotADirectoryError):
            return None
        except msgspec.DecodeError as error:
            raise RegistryError(
                f"{self._place(name, version)}/{TOMBSTONE}: {error}; delete the file, and the version is unknown again"
            ) from error

    def _find(self, name: str, version: str) -> Manifest | None:
        try:
            value = self._head(f"{self._place(name, version)}/{FILE}")
        except (FileNotFoundError, NotADirectoryError):
            return None
        return read_manifest(value, name, version)

    def _head(self, path: str) -> bytes:
        """Read a small file; refuse one that is none."""
        with self._asking(), self._files.open(path, "rb") as opened:
            value: bytes = opened.read(BYTES_MAX + 1)
        if len(value) > BYTES_MAX:
            raise RegistryError(f"{path}: it is larger than {BYTES_MAX:,} bytes; add the version anew")
        return value

    def _below(self, path: str, kind: Literal["model", "version"]) -> Sequence[str]:
        try:
            with self._asking():
                found = [entry.rstrip("/").rpartition("/")[2] for entry in self._files.ls(path, detail=False)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [name for name in found if is_name(kind, name)]

    def _write(self, path: str, value: bytes) -> None:
        """Write the manifest so that it is there whole or not at all."""
        if self.local:
            beside = Path(f"{path}.{os.getpid()}")
            beside.write_bytes(value)
            try:
                os.link(beside, path)
            except FileExistsError:
                raise RegistryError(f"{path}: somebody added this version at the same moment; look at theirs") from None
            finally:
                beside.unlink()
        else:
            self._files.pipe_file(path, value)


def _anybody_writes(folder: Path, root: Path) -> bool:
    """Whether everybody on this machine may change what lies in a version's folder, or put another in its place."""
    files = (path for path in folder.rglob("*") if not path.is_symlink())
    return any(path.stat().st_mode & stat.S_IWOTH for path in (root, folder.parent, folder, *files))


def version_key(version: str) -> list[tuple[int, int, str]]:
    """Sort key that puts v9 before v10.

    >>> sorted(["v10", "v9", "2026-11-21"], key=version_key)
    ['2026-11-21', 'v9', 'v10']
    """
    parts = re.findall(r"\d+|\D+", version)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]
