"""The registry: model packages under ROOT/NAME/VERSION/, on a disk or in an object store, each version for ever.

A version exists when its manifest does, which is written last and lists every file with its hash; so half an upload
is no version, and a byte that changed is found before the model is loaded.

Names and versions are checked before a path is made of them (`streams.names`), and a path that leads out of the root,
by a link, is refused. A Python class runs unasked only from a version that was added to this machine's own folder, and
that not everybody may write to.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import fsspec
import msgspec
from fsspec.implementations.local import LocalFileSystem

from inference.backends import inspect_artefact, load_artefact
from inference.backends.devices import device
from inference.backends.workers import Workers, ask_workers
from inference.packages.manifest import (
    FILE,
    Manifest,
    ManifestError,
    anybody_writes,
    hash_of,
    manifest_of,
    read_manifest,
)
from inference.packages.model_toml import EXAMPLES, ModelPackage, PackageError, nearest, parse_package, read_package
from inference.packages.model_toml import FILE as PACKAGE
from inference.packages.versions import conflict, kinds_of, version_key
from inference.serving.fallback_checks import refuse_misfit
from inference.serving.registry_files import (
    RegistryError,
    RegistryUnavailable,
    asking,
    fetch,
    put,
    read_small,
    write_whole,
)
from streams.addresses import without_secrets
from streams.logs import logger
from streams.names import check_name, check_registry, is_name
from streams.private import cache_folder
from streams.wire.records import DEFAULT_VERSION

if TYPE_CHECKING:
    from inference.backends.remote.fallback import Fallback
    from inference.serving.scorer import Scorer

#: File in place of a removed version, with its digest.
TOMBSTONE = "removed.json"


class VersionRemoved(RegistryError):
    """A version that was there and was removed."""


class _Tombstone(msgspec.Struct, frozen=True):
    digest: str
    kinds: dict[str, str] = {}


class Registry:
    """Packages below a root.

    Parameters
    ----------
    root
        A folder, or anything fsspec understands: ``s3://bucket/models``.
    cache
        Where packages of a remote root are kept on this machine; below `streams.private.cache_folder` when absent.
    """

    def __init__(self, root: str | Path, cache: Path | None = None) -> None:
        self.root = check_registry(str(root))
        self.address = without_secrets(self.root)  # what messages call it
        self._files, path = fsspec.core.url_to_fs(self.root)
        self._path = str(path).rstrip("/")
        self._cache = cache or cache_folder() / "models"

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
            The version exists with other contents, or a column is of another kind in another version.
        PackageError, ArtefactError
            The package could not be loaded.
        """
        folder = Path(folder)
        package = read_package(folder)
        inspect_artefact(package, folder)
        self._refuse_fallback(package, folder)
        if (folder / EXAMPLES).exists():
            from inference.serving.examples import read_examples  # brings Arrow

            read_examples(package, folder)
        manifest = manifest_of(package, folder)
        known = self._find(package.name, package.version)
        if known is None and package.version == DEFAULT_VERSION:
            raise RegistryError(
                f"{folder}: version {DEFAULT_VERSION!r} is what predictions with a fixed score have; name it otherwise"
            )
        removed = self._removed(package.name, package.version)
        if removed is not None and removed.digest != manifest.digest:
            raise RegistryError(
                f"{package.name} {package.version} was removed from {self.address}, and had other contents; a version "
                "never changes, and what it said is kept under its name: give this one a new version"
            )
        others = [version.version for version in self.list(package.name)]
        self.refuse_conflict(package.name, package.version, kinds_of(package), others)
        if known is not None:
            if known.digest != manifest.digest:
                changed = sorted({file for file, _ in known.files.items() ^ manifest.files.items()})
                raise RegistryError(
                    f"{package.name} {package.version} is in {self.address} with other contents "
                    f"({', '.join(changed)}); a version never changes: give this one a new version"
                )
            return known
        path = self._place(package.name, package.version)
        for file in manifest.files:
            put(self._files, folder / file, f"{path}/{file}")
        write_whole(self._files, f"{path}/{FILE}", msgspec.json.format(msgspec.json.encode(manifest)))
        if removed is not None:
            self._files.rm_file(f"{path}/{TOMBSTONE}")
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
        path = self._place(name, version)
        tombstone = _Tombstone(manifest.digest, self.kinds(name, version))
        self._files.pipe_file(f"{path}/{TOMBSTONE}", msgspec.json.encode(tombstone))
        self._files.rm_file(f"{path}/{FILE}")  # From here on it is no version.
        for file in manifest.files:
            with suppress(FileNotFoundError):
                self._files.rm_file(f"{path}/{file}")
        return manifest

    def kinds(self, name: str, version: str) -> dict[str, str]:
        """Kind of each column of a version, also of one that was removed; empty where nobody knows any more.

        No other file is read than `model.toml`, so asking about every version is cheap.
        """
        manifest = self._find(name, version)
        if manifest is None:
            removed = self._removed(name, version)
            return {} if removed is None else removed.kinds
        file = f"{self._place(name, version)}/{PACKAGE}"
        try:
            package = parse_package(read_small(self._files, self.address, file), file)
        except (FileNotFoundError, PackageError):
            return {}  # Damaged: whoever loads it is told.
        return kinds_of(package)

    def refuse_conflict(self, name: str, version: str, kinds: Mapping[str, str], others: Iterable[str]) -> None:
        """Refuse a version of which a column is of another kind in one of these others of its model.

        Parameters
        ----------
        kinds
            Kind of each column of the version.

        Raises
        ------
        RegistryError
            A column changes its kind; see `inference.packages.versions.conflict`.
        """
        for other in others:
            if other != version and (why := conflict(kinds, other, self.kinds(name, other))):
                raise RegistryError(f"{name} {version}: {why}")

    def ask(self) -> None:
        """See that the registry is there, where it is known to hold models.

        Raises
        ------
        RegistryUnavailable
            It does not answer, or is empty: models that were loaded go on, and others wait.
        """
        if not self._below(self._path, "model"):
            raise RegistryUnavailable(f"registry {self.address} is empty, or not mounted here; new routes wait for it")

    def list(self, name: str | None = None) -> Sequence[Manifest]:
        """Every version, or those of one model; older versions first. What is none of ours is passed over."""
        if self.local and Path(self._path).is_file():
            raise RegistryError(f"registry {self.address!r} is a file, not a folder; name a folder, in registry = ...")
        names = [check_name("model", name)] if name is not None else self._below(self._path, "model")
        places = [(name, version) for name in names for version in self._below(f"{self._path}/{name}", "version")]
        known = []
        for name_version in places:
            try:
                known.append(self._find(*name_version))
            except (ManifestError, RegistryError) as error:  # One damaged version hides no other.
                logger("inference.serving.registry").warning(
                    "registry.damaged", model=name_version[0], version=name_version[1], why=str(error)
                )
        return sorted(filter(None, known), key=lambda manifest: (manifest.name, version_key(manifest.version)))

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
        path = self._place(name, version)
        folder = Path(path) if self.local else fetch(self._files, self.address, manifest, path, self._cache)
        for file, digest in manifest.files.items():
            inside = not self.local or (folder / file).resolve().is_relative_to(folder.resolve())
            with asking(self.address):
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

    def fallback(self, name: str, version: str) -> str:
        """The version that answers while another one is away; empty where none does.

        Raises
        ------
        RegistryError, PackageError, ArtefactError
            There is no such version, or it cannot be the other's fallback.
        """
        folder, package = self._read(name, version)
        fallback = self._refuse_fallback(package, folder)
        return fallback.version if fallback else ""

    def load(
        self,
        name: str,
        version: str,
        on: str = "auto",
        *,
        trust_code: bool = False,
        workers: Workers | None = None,
        may_be_away: bool = False,
    ) -> "Scorer":
        """Load a version, ready to score.

        Parameters
        ----------
        on
            See `inference.backends.devices.device`.
        trust_code
            Run a Python class wherever it lies. Otherwise one runs only from a root in this machine's own files, from
            a folder that not everybody may write to.
        workers
            Inference workers that score in place of this process: no file is loaded, and no code runs here.
        may_be_away
            Load a version that has a fallback although it does not answer now.

        Raises
        ------
        RegistryError, PackageError, ArtefactError
            There is no such version, it cannot be loaded here, or it does not reproduce its examples.
        """
        from inference.serving.examples import check_examples
        from inference.serving.scorer import Scorer  # brings NumPy: to list versions takes none

        folder, package = self._read(name, version)
        if workers is not None:
            backend = ask_workers(package, workers)
        else:
            backend = load_artefact(package, folder, device(on), trust_code=trust_code or self.trusts(folder))
        fallback = self._fallback(package, folder)
        return Scorer(
            package,
            backend,
            fallback=fallback,
            prove=partial(check_examples, folder=folder),
            may_be_away=may_be_away and fallback is not None,
        )

    def trusts(self, folder: Path) -> bool:
        """Whether code in a version's folder may run unasked: it lies on this machine, and not everybody may write."""
        return self.local and not anybody_writes(folder, Path(self._path))

    def _refuse_fallback(self, package: ModelPackage, folder: Path) -> "Fallback | None":
        """Who answers while a version is away; refused where it is not there, or cannot."""
        fallback = self._fallback(package, folder)
        if fallback is None or not fallback.version:
            return fallback
        try:
            other_folder, other = self._read(package.name, fallback.version)
        except (RegistryError, RegistryUnavailable) as error:
            raise RegistryError(
                f"{folder}: fallback {fallback.version!r}: {error}; add that version first, or name another in "
                f"{package.artefact}"
            ) from error
        refuse_misfit(package, other, self._fallback(other, other_folder))
        return fallback

    def _fallback(self, package: ModelPackage, folder: Path) -> "Fallback | None":
        from inference.backends.remote.reading import read_fallback

        fallback = read_fallback(package, folder)
        if fallback and not fallback.version and self._find(package.name, DEFAULT_VERSION) is not None:
            raise RegistryError(
                f"{folder}: fallback: a fixed score goes by version {DEFAULT_VERSION!r}, and {package.name} has a "
                "version of that name; remove it, or name a version as the fallback"
            )
        return fallback

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
        path = f"{self._path}/{check_name('model', name)}/{check_name('version', version)}"
        if self.local and not Path(path).resolve().is_relative_to(Path(self._path).resolve()):
            raise RegistryError(f"{path}: a link that leads out of {self.address}; add the package itself")
        return path

    def _existing(self, name: str, version: str) -> Manifest:
        manifest = self._find(name, version)
        if manifest is not None:
            return manifest
        if self._removed(name, version) is not None:
            raise VersionRemoved(
                f"{name} {version} was removed from {self.address}; `driftline model add FOLDER` puts it back as it was"
            )
        names = tuple(sorted(self._below(self._path, "model")))
        if not names:
            raise RegistryUnavailable(f"{name} {version} is not in {self.address}; it is empty, or not mounted here")
        versions = tuple(known.version for known in self.list(name))
        hint = nearest(version, versions) if versions else nearest(name, names)
        raise RegistryError(f"{name} {version} is not in {self.address}{hint}")

    def _removed(self, name: str, version: str) -> _Tombstone | None:
        """What is known of a removed version; None where none was removed."""
        try:
            value = read_small(self._files, self.address, f"{self._place(name, version)}/{TOMBSTONE}")
            return msgspec.json.decode(value, type=_Tombstone)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except msgspec.DecodeError as error:
            raise RegistryError(
                f"{self._place(name, version)}/{TOMBSTONE}: {error}; delete the file, and the version is unknown again"
            ) from error

    def _find(self, name: str, version: str) -> Manifest | None:
        try:
            value = read_small(self._files, self.address, f"{self._place(name, version)}/{FILE}")
        except (FileNotFoundError, NotADirectoryError):
            return None
        return read_manifest(value, name, version)

    def _below(self, path: str, kind: Literal["model", "version"]) -> Sequence[str]:
        try:
            with asking(self.address):
                entries = [entry.rstrip("/").rpartition("/")[2] for entry in self._files.ls(path, detail=False)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [name for name in entries if is_name(kind, name)]
