"""A ``config.pbtxt``: what Triton must know of a model.

References
----------
`Model configuration <https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/model_configuration.html>`_.
"""

from pathlib import Path

import msgspec

from inference.exporting.packaged import INPUT, OUTPUT
from inference.packages.model_toml import ModelPackage

#: Triton's names of what ONNX calls a dtype.
_TYPES = {
    "float": "TYPE_FP32",
    "double": "TYPE_FP64",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "string": "TYPE_STRING",
    "bool": "TYPE_BOOL",
}


def of_package(package: ModelPackage) -> str:
    """Of a package that Triton's Python backend runs, which batches by itself.

    >>> from streams.wire.schema import Feature
    >>> package = ModelPackage(name="m", version="v1", task="regression", artefact="m.pt2", inputs=(Feature("a"),))
    >>> print(of_package(package))
    name: "m"
    backend: "python"
    max_batch_size: 0
    input [ { name: "x", data_type: TYPE_FP32, dims: [ -1, 1 ] } ]
    output [ { name: "scores", data_type: TYPE_FP32, dims: [ -1, -1 ] } ]
    <BLANKLINE>
    """
    return _config(
        package.name,
        "python",
        [_port("input", INPUT, "TYPE_FP32", (-1, len(package.inputs)))],
        [_port("output", OUTPUT, "TYPE_FP32", (-1, -1))],
    )


def of_onnx(package: ModelPackage, file: Path) -> str:
    """Of an ONNX file as it was written for Triton; whole shapes, for some graphs take one number of rows alone."""
    from inference.backends.onnx_file import read_model
    from inference.backends.onnx_signature import inputs_of, outputs_of

    model = read_model(file, file.parent)
    ports = {"input": inputs_of(model), "output": outputs_of(model)}
    lines = {
        side: [
            _port(side, port.name, _TYPES[port.type], tuple(size or -1 for size in port.shape or (-1, -1)))
            for port in listed
        ]
        for side, listed in ports.items()
    }
    return _config(package.name, "onnxruntime", lines["input"], lines["output"])


def _config(name: str, backend: str, inputs: list[str], outputs: list[str]) -> str:
    head = [f"name: {_text(name)}", f"backend: {_text(backend)}", "max_batch_size: 0"]
    return "\n".join([*head, *inputs, *outputs, ""])


def _port(side: str, name: str, kind: str, sizes: tuple[int, ...]) -> str:
    dims = ", ".join(map(str, sizes))
    return f"{side} [ {{ name: {_text(name)}, data_type: {kind}, dims: [ {dims} ] }} ]"


def _text(value: str) -> str:
    return msgspec.json.encode(value).decode()
