"""Model files that are code: run only where somebody vouches for them."""

import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from inference.backends.errors import ArtefactError, UntrustedCodeError
from inference.packages.model_toml import ModelPackage


def refuse_untrusted(package: ModelPackage, file: Path, kind: str, trust_code: bool) -> None:
    """Refuse code that nobody vouched for.

    Parameters
    ----------
    kind
        Of code, as people call it: ``Python code``.
    trust_code
        Whether somebody did: it lies in this machine's own folder, or ``--trust-code`` was given.

    Raises
    ------
    UntrustedCodeError
        Nobody did.
    """
    if not trust_code:
        raise UntrustedCodeError(
            f"{file}: {package.name} {package.version} is {kind} from a place that is not this machine's own; "
            "read it, then pass --trust-code"
        )


def class_of(package: ModelPackage, file: Path, name: str, methods: Iterable[str]) -> type[Any]:
    """Run a file of a package as a module, and take a class from it.

    Parameters
    ----------
    file
        The Python file.
    name, methods
        Of the class, and what it must have.

    Raises
    ------
    ArtefactError
        It has no such class. What the file itself raises passes.
    """
    # Two versions of a model are two modules; pickling or dataclasses inside look their module up by name.
    module_name = f"driftline_model_{package.name}_{package.version}".replace("-", "_").replace(".", "_")
    spec = importlib.util.spec_from_file_location(module_name, file)
    assert spec is not None and spec.loader is not None, file
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    loaded = getattr(module, name, None)
    if not isinstance(loaded, type):
        raise ArtefactError(
            f"{file.name}: it has no class {name!r}, which {package.artefact!r} names; correct the name"
        )
    for method in methods:
        if not callable(getattr(loaded, method, None)):
            raise ArtefactError(f"{file}: class {name} needs a method {method}; docs/models.md has a small one")
    return loaded
