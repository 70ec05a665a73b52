"""KServe's resource, an ``InferenceService`` that speaks the Open Inference Protocol v2.

References
----------
`InferenceService <https://kserve.github.io/website/docs/model-serving/predictive-inference/frameworks/overview>`_.
"""

import re
from typing import Any

import msgspec

from inference.packages.model_toml import ModelPackage

_NOT_IN_A_NAME = re.compile("[^a-z0-9-]+")


def inference_service(package: ModelPackage, *, uri: str = "", image: str = "") -> str:
    """Write the resource, as JSON, which YAML contains.

    Parameters
    ----------
    package
        The package.
    uri
        Where a folder for Triton lies; KServe's Triton runs it.
    image
        Or an image with MLServer, driftline, and the exported folder as /model.

    >>> from streams.wire.schema import Feature
    >>> package = ModelPackage(name="My_M", version="v1", task="regression", artefact="m.onnx", inputs=(Feature("a"),))
    >>> tree = msgspec.json.decode(inference_service(package, uri="s3://bucket/m"))
    >>> tree["metadata"]["name"], tree["spec"]["predictor"]["model"]["runtime"]
    ('my-m', 'kserve-tritonserver')
    """
    predictor: dict[str, Any] = {
        "model": {
            "modelFormat": {"name": "onnx"},
            "protocolVersion": "v2",
            "runtime": "kserve-tritonserver",
            "storageUri": uri,
        }
    }
    if image:
        container = {
            "name": "kserve-container",
            "image": image,
            "command": ["mlserver", "start", "/model"],
            "env": [{"name": "MLSERVER_HTTP_PORT", "value": "8080"}, {"name": "MLSERVER_GRPC_PORT", "value": "9000"}],
            "ports": [{"name": "http1", "containerPort": 8080, "protocol": "TCP"}],
        }
        predictor = {"containers": [container]}
    name = _NOT_IN_A_NAME.sub("-", package.name.lower()).strip("-")
    tree = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "annotations": {"driftline/version": package.version}},
        "spec": {"predictor": predictor},
    }
    return msgspec.json.format(msgspec.json.encode(tree)).decode() + "\n"
