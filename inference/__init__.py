"""Inference: a model on a topic.

A model is a *package*: a folder with a `model.toml` that says what it takes and answers, and a model file
(`package`, `init`). The *registry* keeps packages by name and version, for ever (`registry`). A model file is loaded
without unpickling anything (`artefacts`), runs on a CPU or a GPU (`devices`), and meets rows in batches of one shape,
so that a score does not depend on its company (`batching`). Routes say which version answers whom (`routing`);
`serving` keeps loaded what they name. `score` is the stage that ties it together: blocks of requests in, predictions,
observations and dead letters out. `training` makes a small network for a table in seconds.

`import inference` is light: a name is loaded when it is first asked for, and torch comes with the first archive that
is loaded, or with `inference.training`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inference.artefacts import ArtefactError as ArtefactError
    from inference.artefacts import Model as Model
    from inference.artefacts import UntrustedCodeError as UntrustedCodeError
    from inference.batching import Failure as Failure
    from inference.batching import ModelBroken as ModelBroken
    from inference.batching import Patience as Patience
    from inference.batching import Scorer as Scorer
    from inference.batching import Scores as Scores
    from inference.devices import DeviceError as DeviceError
    from inference.devices import device as device
    from inference.in_hand import InHand as InHand
    from inference.init import Draft as Draft
    from inference.init import draft_package as draft_package
    from inference.init import init_package as init_package
    from inference.manifest import Manifest as Manifest
    from inference.manifest import ManifestError as ManifestError
    from inference.package import Limits as Limits
    from inference.package import ModelPackage as ModelPackage
    from inference.package import Outputs as Outputs
    from inference.package import PackageError as PackageError
    from inference.package import read_package as read_package
    from inference.package import write_package as write_package
    from inference.registry import Registry as Registry
    from inference.registry import VersionRemoved as VersionRemoved
    from inference.registry_files import RegistryError as RegistryError
    from inference.registry_files import RegistryUnavailable as RegistryUnavailable
    from inference.score import Score as Score
    from inference.serving import Serving as Serving
    from inference.table import TableError as TableError
    from inference.table import infer_features as infer_features
    from inference.table import matrix_of as matrix_of
    from streams.wire.route import RouteError as RouteError

#: Public names and where they live; each is loaded when it is first asked for.
_PUBLIC = {
    "ArtefactError": "inference.artefacts",
    "DeviceError": "inference.devices",
    "Draft": "inference.init",
    "Failure": "inference.batching",
    "InHand": "inference.in_hand",
    "Limits": "inference.package",
    "Manifest": "inference.manifest",
    "ManifestError": "inference.manifest",
    "Model": "inference.artefacts",
    "ModelBroken": "inference.batching",
    "ModelPackage": "inference.package",
    "Outputs": "inference.package",
    "PackageError": "inference.package",
    "Patience": "inference.batching",
    "Registry": "inference.registry",
    "RegistryError": "inference.registry_files",
    "RegistryUnavailable": "inference.registry_files",
    "RouteError": "streams.wire.route",
    "Score": "inference.score",
    "Scorer": "inference.batching",
    "Scores": "inference.batching",
    "Serving": "inference.serving",
    "TableError": "inference.table",
    "UntrustedCodeError": "inference.artefacts",
    "VersionRemoved": "inference.registry",
    "device": "inference.devices",
    "draft_package": "inference.init",
    "infer_features": "inference.table",
    "init_package": "inference.init",
    "matrix_of": "inference.table",
    "read_package": "inference.package",
    "write_package": "inference.package",
}

__all__ = [
    "ArtefactError",
    "DeviceError",
    "Draft",
    "Failure",
    "InHand",
    "Limits",
    "Manifest",
    "ManifestError",
    "Model",
    "ModelBroken",
    "ModelPackage",
    "Outputs",
    "PackageError",
    "Patience",
    "Registry",
    "RegistryError",
    "RegistryUnavailable",
    "RouteError",
    "Score",
    "Scorer",
    "Scores",
    "Serving",
    "TableError",
    "UntrustedCodeError",
    "VersionRemoved",
    "device",
    "draft_package",
    "infer_features",
    "init_package",
    "matrix_of",
    "read_package",
    "write_package",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        value = globals()[name] = getattr(import_module(_PUBLIC[name]), name)
        return value
    raise AttributeError(f"module 'inference' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
