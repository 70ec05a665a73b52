"""Inference: a model on a topic.

A model is a *package*: a folder with a `model.toml` that says what it takes and answers, and a model file
(`package`, `init`). The *registry* keeps packages by name and version, for ever (`registry`). A model file is loaded
without unpickling anything (`artefacts`), runs on a CPU or a GPU (`devices`), and meets rows in batches of one shape,
so that a score does not depend on its company (`batching`). Routes say which version answers whom (`routing`);
`serving` keeps loaded what they name. `score` is the stage that ties it together: blocks of requests in, predictions,
observations and dead letters out. `training` makes a small network for a table in seconds.

`import inference` is light: torch comes with the first archive that is loaded, or with `inference.training`.
"""

from inference.artefacts import ArtefactError, Model, UntrustedCodeError
from inference.batching import Failure, ModelBroken, Patience, Scorer, Scores
from inference.devices import DeviceError, device
from inference.init import Draft, draft_package, init_package
from inference.manifest import Manifest, ManifestError
from inference.package import Limits, ModelPackage, Outputs, PackageError, read_package, write_package
from inference.registry import Registry, RegistryError, VersionRemoved
from inference.routing import RouteError
from inference.score import Score
from inference.serving import Serving
from inference.table import TableError, infer_features, matrix_of

__all__ = [
    "ArtefactError",
    "DeviceError",
    "Draft",
    "Failure",
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
