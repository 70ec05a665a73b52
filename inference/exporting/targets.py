"""Servers that a package can be exported to: one function for a server and a kind of model file."""

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from inference.backends.kinds import kind_of
from inference.exporting.kserve import inference_service
from inference.exporting.triton_config import of_onnx, of_package
from inference.packages.manifest import manifest_of
from inference.packages.model_toml import ModelPackage


class ExportError(ValueError):
    """A package that cannot be exported so; the text says what to do."""


class Where(msgspec.Struct, frozen=True):
    """Where the export goes: the folder, and for KServe the address and the image that the resource names."""

    folder: Path
    uri: str = ""
    image: str = ""


#: Runs inside of MLServer; driftline and mlserver are installed there.
_MLSERVER = '''"""Written by `driftline model export --to mlserver`."""

from pathlib import Path

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceResponse

from inference.exporting import OUTPUT, Packaged, RowsRefused


class Model(MLModel):
    async def load(self):
        self._score = Packaged(Path(__file__).parent / "package")
        return True

    async def predict(self, payload):
        matrix = NumpyCodec.decode_input(payload.inputs[0]).astype(np.float32)
        try:
            scores = self._score(matrix)
        except RowsRefused as error:
            raise InferenceError(str(error)) from None
        output = NumpyCodec.encode_output(OUTPUT, scores)
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=[output])
'''
#: Runs inside of Triton's Python backend; driftline is installed in its interpreter.
_TRITON = '''"""Written by `driftline model export --to triton`."""

from pathlib import Path

import triton_python_backend_utils as pb_utils

from inference.exporting import INPUT, OUTPUT, Packaged, RowsRefused


class TritonPythonModel:
    def initialize(self, args):
        cuda = args["model_instance_kind"] == "GPU"
        device = f"cuda:{args['model_instance_device_id']}" if cuda else "cpu"
        self._score = Packaged(Path(__file__).parent / "package", device)

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        try:
            scores = self._score(pb_utils.get_input_tensor_by_name(request, INPUT).as_numpy())
        except RowsRefused as error:
            refusal = pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG)
            return pb_utils.InferenceResponse(output_tensors=[], error=refusal)
        return pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor(OUTPUT, scores)])
'''


def _mlserver(package: ModelPackage, source: Path, where: Where) -> None:
    _copy(package, source, where.folder / "package")
    _write(where.folder / "driftline_model.py", _MLSERVER)
    settings = {
        "name": package.name,
        "implementation": "driftline_model.Model",
        "parameters": {"version": package.version},
    }
    _write(where.folder / "model-settings.json", msgspec.json.format(msgspec.json.encode(settings)).decode() + "\n")


def _triton_onnx(package: ModelPackage, source: Path, where: Where) -> None:
    from inference.backends.onnx_program import read_onnx  # brings NumPy and protobuf

    program = read_onnx(package, source / package.artefact)  # without what Triton has not: lists of maps
    model = where.folder / package.name
    (model / "1").mkdir(parents=True)
    (model / "1" / "model.onnx").write_bytes(program.archive)
    _write(model / "config.pbtxt", of_onnx(package, model / "1" / "model.onnx"))


def _triton_package(package: ModelPackage, source: Path, where: Where) -> None:
    model = where.folder / package.name
    _copy(package, source, model / "1" / "package")
    _write(model / "1" / "model.py", _TRITON)
    _write(model / "config.pbtxt", of_package(package))


def _kserve_onnx(package: ModelPackage, source: Path, where: Where) -> None:
    if not where.uri:
        raise ExportError("KServe fetches the model itself: say where the folder will lie, --uri s3://bucket/churn")
    _triton_onnx(package, source, where)
    _write(where.folder / "inferenceservice.yaml", inference_service(package, uri=where.uri))


def _kserve_package(package: ModelPackage, source: Path, where: Where) -> None:
    if not where.image:
        raise ExportError(
            f"KServe's own images cannot run {package.artefact}: build one with mlserver and driftline, with this "
            "folder in it as /model, and name it, --image registry/churn:1; or convert the model to ONNX"
        )
    _mlserver(package, source, where)
    _write(where.folder / "inferenceservice.yaml", inference_service(package, image=where.image))


_Export = Callable[[ModelPackage, Path, Where], None]
#: By server, then by the suffix of the model file.
TARGETS: dict[str, dict[str, _Export]] = {
    "triton": {".onnx": _triton_onnx, ".pt2": _triton_package, ".py": _triton_package},
    "mlserver": {".onnx": _mlserver, ".pt2": _mlserver, ".py": _mlserver},
    "kserve": {".onnx": _kserve_onnx, ".pt2": _kserve_package, ".py": _kserve_package},
}


def export(package: ModelPackage, source: Path, target: str, where: Where) -> list[Path]:
    """Write a package as a server loads it.

    Parameters
    ----------
    package, source
        The package, and where its files lie.
    target
        One of `TARGETS`.
    where
        The folder, which must not be there yet.

    Returns
    -------
    The files that were written, below the folder.

    Raises
    ------
    ExportError
        There is no such server, it cannot run this kind of file, or the folder is there.
    """
    if target not in TARGETS:
        raise ExportError(f"no server {target!r} is known; known: {', '.join(TARGETS)}")
    kind = kind_of(package.artefact)
    function = TARGETS[target].get(kind.suffix) if kind else None
    if function is None:
        runs = ", ".join(TARGETS[target])
        raise ExportError(f"{target} runs no {package.artefact}: it is given files of the kinds {runs}")
    if where.folder.exists() and any(where.folder.iterdir()):
        raise ExportError(f"{where.folder} is not empty; name a new folder")
    where.folder.mkdir(parents=True, exist_ok=True)
    function(package, source, where)
    return sorted(file for file in where.folder.rglob("*") if file.is_file())


def _copy(package: ModelPackage, source: Path, folder: Path) -> None:
    for name in manifest_of(package, source).files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, folder / name)


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
