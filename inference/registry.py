"""The registry: model packages under ROOT/NAME/VERSION/, on a disk or in an object store, each version for ever.

A version exists when its manifest does, which is written last and lists every file with its hash; so half an upload
is no version, and a byte that changed is found before the model is loaded.
"""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import fsspec
import msgspec
import platformdirs
from fsspec.implementations.local import LocalFileSystem

from inference.artefacts import inspect_artefact, load_artefact
from inference.batching import Scorer
from inference.devices import device
from inference.manifest import FILE, Manifest, hash_of, manifest_of, read_manifest
from inference.package import ModelPackage, nearest, read_package

#: File in place of a removed version, with its digest.
TOMBSTONE = "removed.json"


class RegistryError(ValueError):
    """A version that is not there, is not whole, or is there already with other contents."""


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
        self.root = str(root)
        self._files, path = fsspec.core.url_to_fs(self.root)
        self._path = str(path).rstrip("/")
        self._cache = cache or Path(platformdirs.user_cache_dir("driftline")) / "models"

    @property
    def local(self) -> bool:
        """Whether the packages lie in this machine's own files; only then is their code trusted unasked."""
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
        place = f"{self._path}/{package.name}/{package.version}"
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
        place = f"{self._path}/{name}/{version}"
        self._files.pipe_file(f"{place}/{TOMBSTONE}", msgspec.json.encode(_Tombstone(manifest.digest)))
        self._files.rm_file(f"{place}/{FILE}")  # From here on it is no version.
        for file in manifest.files:
            with suppress(FileNotFoundError):
                self._files.rm_file(f"{place}/{file}")
        return manifest

    def list(self, name: str | None = None) -> Sequence[Manifest]:
        """Every version, or those of one model; older versions first."""
        names = [name] if name is not None else self._below(self._path)
        found = (self._find(n, v) for n in names for v in self._below(f"{self._path}/{n}"))
        known = [manifest for manifest in found if manifest is not None]
        return sorted(known, key=lambda manifest: (manifest.name, version_key(manifest.version)))

    def folder(self, name: str, version: str) -> Path:
        """A version's folder on this machine, every file checked against the manifest.

        Raises
        ------
        RegistryError
            No such version, or a file is missing or changed.
        VersionRemoved
            It was removed.
        """
        manifest = self._existing(name, version)
        place = f"{self._path}/{name}/{version}"
        folder = Path(place) if self.local else self._fetched(manifest, place)
        for file, digest in manifest.files.items():
            if not (folder / file).is_file() or hash_of(folder / file) != digest:
                raise RegistryError(f"{folder / file} is not what {name} {version} was added with; add it anew")
        return folder

    def package(self, name: str, version: str) -> ModelPackage:
        """The `model.toml` of a version."""
        return read_package(self.folder(name, version))

    def load(self, name: str, version: str, on: str = "auto", *, trust_code: bool = False) -> Scorer:
        """Load a version, ready to score.

        Parameters
        ----------
        on
            See `inference.devices.device`.
        trust_code
            Run a Python class from a root that is not this machine's own.
        """
        folder = self.folder(name, version)
        package = read_package(folder)
        return Scorer(package, load_artefact(package, folder, device(on), trust_code=trust_code or self.local))

    def _fetched(self, manifest: Manifest, place: str) -> Path:
        """Copy a remote version into the cache, where its folder is named by its hash."""
        folder = self._cache / manifest.digest
        for file, digest in manifest.files.items():
            target = folder / file
            if not target.is_file() or hash_of(target) != digest:
                target.parent.mkdir(parents=True, exist_ok=True)
                beside = target.with_name(f"{target.name}.{os.getpid()}")
                self._files.get_file(f"{place}/{file}", str(beside))
                beside.replace(target)
        return folder

    def _existing(self, name: str, version: str) -> Manifest:
        manifest = self._find(name, version)
        if manifest is not None:
            return manifest
        if self._removed(name, version) is not None:
            raise VersionRemoved(f"{name} {version} was removed from {self.root}")
        versions = tuple(known.version for known in self.list(name))
        names = tuple(sorted({known.name for known in self.list()}))
        hint = nearest(version, versions) if versions else nearest(name, names) if names else "; it is empty"
        raise RegistryError(f"{name} {version} is not in {self.root}{hint}")

    def _removed(self, name: str, version: str) -> str | None:
        """Hash of the contents that a removed version had; None where none was removed."""
        try:
            value = self._files.cat_file(f"{self._path}/{name}/{version}/{TOMBSTONE}")
        except (FileNotFoundError, NotADirectoryError):
            return None
        return msgspec.json.decode(value, type=_Tombstone).digest

    def _find(self, name: str, version: str) -> Manifest | None:
        try:
            value = self._files.cat_file(f"{self._path}/{name}/{version}/{FILE}")
        except (FileNotFoundError, NotADirectoryError):
            return None
        return read_manifest(value, name, version)

    def _below(self, path: str) -> Sequence[str]:
        try:
            return [entry.rstrip("/").rpartition("/")[2] for entry in self._files.ls(path, detail=False)]
        except (FileNotFoundError, NotADirectoryError):
            return []

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


def version_key(version: str) -> list[tuple[int, int, str]]:
    """Sort key that puts v9 before v10.

    >>> sorted(["v10", "v9", "2026-11-21"], key=version_key)
    ['2026-11-21', 'v9', 'v10']
    """
    parts = re.findall(r"\d+|\D+", version)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]
