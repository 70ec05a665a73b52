"""Inference: a model on a topic.

A model is a *package*: a folder with a `model.toml` that says what it takes and answers, and a model file
(`inference.packages`, made from a table by `inference.onboarding`). The *registry* keeps packages by name and version,
for ever (`inference.serving.registry`). A model file is loaded without unpickling anything (`inference.backends`), on a
CPU or a GPU (`inference.backends.devices`), and meets rows in batches of declared shapes, so that a score does not
depend on its company (`inference.serving.scorer`). It serves only if it says of its package's examples what it said
when that was made (`inference.serving.examples`). Routes say which version answers whom (`inference.serving.routing`);
`inference.serving.models` keeps loaded what they name. `inference.scoring.stage` ties it together: blocks of requests
in, predictions, observations and dead letters out. `inference.onboarding.training` makes a small network for a table
in seconds.

`import inference` is light: a name is loaded when it is first asked for, and torch comes with the first archive that
is loaded, or with `inference.onboarding.training`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inference.backends import ArtefactError as ArtefactError
    from inference.backends import Backend as Backend
    from inference.backends import Fatal as Fatal
    from inference.backends import OutOfMemory as OutOfMemory
    from inference.backends import Shapes as Shapes
    from inference.backends import Unavailable as Unavailable
    from inference.backends import UntrustedCodeError as UntrustedCodeError
    from inference.backends.devices import DeviceError as DeviceError
    from inference.backends.devices import device as device
    from inference.onboarding.draft import Draft as Draft
    from inference.onboarding.draft import draft_package as draft_package
    from inference.onboarding.draft import init_package as init_package
    from inference.onboarding.table import TableError as TableError
    from inference.onboarding.table import infer_features as infer_features
    from inference.onboarding.table import matrix_of as matrix_of
    from inference.packages.manifest import Manifest as Manifest
    from inference.packages.manifest import ManifestError as ManifestError
    from inference.packages.model_toml import Limits as Limits
    from inference.packages.model_toml import ModelPackage as ModelPackage
    from inference.packages.model_toml import Outputs as Outputs
    from inference.packages.model_toml import PackageError as PackageError
    from inference.packages.model_toml import read_package as read_package
    from inference.packages.model_toml import write_package as write_package
    from inference.scoring.in_hand import InHand as InHand
    from inference.scoring.shadows import Shadows as Shadows
    from inference.scoring.stage import Score as Score
    from inference.serving.models import Serving as Serving
    from inference.serving.registry import Registry as Registry
    from inference.serving.registry import VersionRemoved as VersionRemoved
    from inference.serving.registry_files import RegistryError as RegistryError
    from inference.serving.registry_files import RegistryUnavailable as RegistryUnavailable
    from inference.serving.scorer import Failure as Failure
    from inference.serving.scorer import ModelBroken as ModelBroken
    from inference.serving.scorer import Patience as Patience
    from inference.serving.scorer import Scorer as Scorer
    from inference.serving.scorer import Scores as Scores
    from streams.wire.route import RouteError as RouteError

#: Public names and where they live; each is loaded when it is first asked for.
_PUBLIC = {
    "ArtefactError": "inference.backends",
    "DeviceError": "inference.backends.devices",
    "Draft": "inference.onboarding.draft",
    "Failure": "inference.serving.scorer",
    "InHand": "inference.scoring.in_hand",
    "Limits": "inference.packages.model_toml",
    "Manifest": "inference.packages.manifest",
    "ManifestError": "inference.packages.manifest",
    "Backend": "inference.backends",
    "Fatal": "inference.backends",
    "OutOfMemory": "inference.backends",
    "Shapes": "inference.backends",
    "Unavailable": "inference.backends",
    "ModelBroken": "inference.serving.scorer",
    "ModelPackage": "inference.packages.model_toml",
    "Outputs": "inference.packages.model_toml",
    "PackageError": "inference.packages.model_toml",
    "Patience": "inference.serving.scorer",
    "Registry": "inference.serving.registry",
    "RegistryError": "inference.serving.registry_files",
    "RegistryUnavailable": "inference.serving.registry_files",
    "RouteError": "streams.wire.route",
    "Score": "inference.scoring.stage",
    "Shadows": "inference.scoring.shadows",
    "Scorer": "inference.serving.scorer",
    "Scores": "inference.serving.scorer",
    "Serving": "inference.serving.models",
    "TableError": "inference.onboarding.table",
    "UntrustedCodeError": "inference.backends",
    "VersionRemoved": "inference.serving.registry",
    "device": "inference.backends.devices",
    "draft_package": "inference.onboarding.draft",
    "infer_features": "inference.onboarding.table",
    "init_package": "inference.onboarding.draft",
    "matrix_of": "inference.onboarding.table",
    "read_package": "inference.packages.model_toml",
    "write_package": "inference.packages.model_toml",
}

__all__ = [
    "ArtefactError",
    "Backend",
    "DeviceError",
    "Draft",
    "Failure",
    "Fatal",
    "InHand",
    "Limits",
    "Manifest",
    "ManifestError",
    "ModelBroken",
    "ModelPackage",
    "OutOfMemory",
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
    "Shadows",
    "Shapes",
    "TableError",
    "Unavailable",
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
