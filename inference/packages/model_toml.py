"""A model package: a folder whose `model.toml` says what the model is, what it takes and what it answers.

>>> package = ModelPackage(name="churn", version="v1", task="binary", artefact="model.pt2", inputs=(Feature("age"),))
>>> package.outputs.classes, package.outputs.positive, package.limits.batch_rows
(('0', '1'), '1', 512)
"""

import difflib
import math
import tomllib
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import msgspec
import tomlkit

from streams.names import NameRefused, check_name
from streams.wire.schema import Feature, FeatureSchema

FILE = "model.toml"
#: What a version must say again before it may serve; see `inference.serving.examples`.
EXAMPLES = "examples.arrow"
#: A `model.toml` that is larger is no description of a model, and is not read.
BYTES_MAX = 16_777_216

Task = Literal["binary", "multiclass", "regression"]
Variant = Literal["fp32", "bf16", "fp16", "int8", "compile"]


class PackageError(ValueError):
    """A package that cannot be used; the text names the file, the key and the remedy."""


class Outputs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the model's scores mean.

    Parameters
    ----------
    classes
        Names of the classes in the order of the model's outputs; for a binary model (negative, positive) unless
        ``positive`` says otherwise. Empty for a regression.
    positive
        The class whose probability a binary model's score is.
    threshold
        Least score at which a binary model predicts the positive class.
    """

    classes: tuple[str, ...] = ()
    positive: str = ""
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5


BUCKETS_MAX = 16
_Rows = Annotated[int, msgspec.Meta(ge=16, le=65_536, multiple_of=16)]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How rows meet the model.

    Parameters
    ----------
    batch_rows
        Rows of the largest batch. Longer ones are cut, shorter ones padded to the nearest shape, so that a score
        does not depend on its company. A multiple of 16, because vector units treat the rows of a ragged end
        differently.
    buckets
        Further shapes, ascending and smaller: few rows do not pay for a large batch. Every observation says at which
        shape its rows were scored.
    latency_ms_p99
        Within which 99 of 100 requests should be committed, from Kafka's timestamp on, ms: workers then choose the size
        of micro-batches, and a wait for more requests, by what they measure. Without it they take all that waits, at
        once. The strictest of a worker's models counts.
    wait_ms_max
        How long a row may wait for others: in an inference worker, and in a worker with ``latency_ms_p99``.
    call_s_max
        How long one batch may take: a call that does not return by then ends the process, and its rows are tried
        again.
    """

    batch_rows: _Rows = 512
    buckets: tuple[_Rows, ...] = ()
    wait_ms_max: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 5
    latency_ms_p99: Annotated[int, msgspec.Meta(ge=1, le=600_000)] | None = None
    call_s_max: Annotated[float, msgspec.Meta(ge=0.1, le=3_600)] = 60.0

    def __post_init__(self) -> None:
        if len(self.buckets) > BUCKETS_MAX:
            raise PackageError(
                f"limits.buckets: {len(self.buckets)} shapes, at most {BUCKETS_MAX}; each is tried at load"
            )
        if list(self.shapes) != sorted(set(self.shapes)):
            raise PackageError(f"limits.buckets {list(self.buckets)}: list them ascending, below {self.batch_rows}")
        if self.latency_ms_p99 is not None and self.wait_ms_max >= self.latency_ms_p99:
            raise PackageError(
                f"limits.wait_ms_max {self.wait_ms_max} leaves nothing of limits.latency_ms_p99 {self.latency_ms_p99}; "
                "lower it (0 never waits), or raise the latency"
            )

    @property
    def shapes(self) -> tuple[int, ...]:
        """Rows of every batch that the model meets, ascending."""
        return (*self.buckets, self.batch_rows)


_Allowed = Annotated[float, msgspec.Meta(ge=0)]


class Tolerance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far a score may lie from what `examples.arrow` says, where the model is loaded.

    The defaults leave room for another processor, device or library in single precision, which differ in the sixth
    digit, and none for another model, order of columns or order of classes.

    Parameters
    ----------
    absolute
        In the unit of the score.
    relative
        Of the score, or of its output's median size over the examples where that is larger: a sum of large parts may
        well be near 0.
    """

    absolute: _Allowed = 1e-6
    relative: _Allowed = 1e-3


#: Of a model that takes any number of rows.
ANY_ROWS = Limits(buckets=(16, 64, 256))


class ModelPackage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The contents of a `model.toml`.

    Parameters
    ----------
    name, version
        Identity in the registry, in routes and in every prediction.
    task
        ``binary``, ``multiclass`` or ``regression``.
    artefact
        File in the folder that holds the model, see `inference.backends.kinds`: ``model.pt2``, ``model.py:Class``,
        ``remote.toml``.
    inputs
        Features in the order of the model's columns.
    outputs
        Classes, positive class, threshold.
    segments
        Categorical or boolean features by whose levels the model is also watched.
    limits
        Batch shape and waiting time.
    tolerance
        How exactly the model must reproduce the package's examples before it may serve.
    owner
        Whom to ask.
    variant
        How the model is computed; `driftline model bench` measures them.
    """

    name: str
    version: str
    task: Task
    artefact: str
    inputs: tuple[Feature, ...]
    outputs: Outputs = Outputs()
    segments: tuple[str, ...] = ()
    limits: Limits = Limits()
    tolerance: Tolerance = Tolerance()
    owner: str = ""
    variant: Variant = "fp32"

    def __post_init__(self) -> None:
        self._check_names()
        for file in map(PurePosixPath, self.artefact.split(":")):
            if file.name and not file.is_absolute() and ".." not in file.parts and "\\" not in self.artefact:
                continue
            raise PackageError(f"artefact {self.artefact!r}: name a file inside the package's folder")
        names = FeatureSchema(self.inputs).names
        for name in self.segments:
            if name not in names:
                raise PackageError(f"segment {name!r} is no input{nearest(name, names)}")
            if self.schema[name].kind == "numeric":
                raise PackageError(f"segment {name!r} is numeric; segment by a categorical or boolean input")
        msgspec.structs.force_setattr(self, "outputs", _complete(self.task, self.outputs))

    def _check_names(self) -> None:
        try:
            check_name("model", self.name)
            check_name("version", self.version)
            for feature in self.inputs:
                check_name("column", feature.name)
            for name in self.outputs.classes:
                check_name("class", name)
        except NameRefused as error:
            raise PackageError(str(error)) from None

    @property
    def schema(self) -> FeatureSchema:
        """The inputs as the schema that decoding and drift share."""
        return FeatureSchema(self.inputs)


def _complete(task: Task, outputs: Outputs) -> Outputs:
    """Check the outputs against the task and fill in what a binary model may leave out."""
    classes = outputs.classes
    if task == "regression":
        if classes or outputs.positive:
            raise PackageError("outputs: a regression has neither classes nor a positive one; drop them")
        return outputs
    if len(set(classes)) != len(classes):
        raise PackageError(f"outputs.classes {list(classes)}: a class stands twice; remove one")
    if task == "multiclass":
        if len(classes) < 2 or outputs.positive:
            raise PackageError("outputs: a multiclass model lists its classes (two or more) and has no positive one")
        return outputs
    classes = classes or ("0", "1")
    positive = outputs.positive or classes[-1]
    if len(classes) != 2 or positive not in classes:
        raise PackageError(f"outputs: a binary model has two classes, one of them positive; got {list(classes)}")
    return msgspec.structs.replace(outputs, classes=classes, positive=positive)


def read_package(folder: str | Path) -> ModelPackage:
    """Read the `model.toml` of a folder.

    Raises
    ------
    PackageError
        No such file, no TOML, an unknown key (the nearest one is named), a value that contradicts another.
    """
    file = Path(folder) / FILE
    try:
        with file.open("rb") as opened:
            text = opened.read(BYTES_MAX + 1)
    except FileNotFoundError:
        raise PackageError(f"{file}: no such file; `driftline model init` writes one") from None
    except OSError as error:
        raise PackageError(f"{file}: {error}") from error
    return parse_package(text, str(file))


def parse_package(text: bytes, file: str) -> ModelPackage:
    """Read the contents of a `model.toml`.

    Parameters
    ----------
    file
        What a refusal calls it.

    Raises
    ------
    PackageError
        See `read_package`.
    """
    if len(text) > BYTES_MAX:
        raise PackageError(f"{file}: it is larger than {BYTES_MAX:,} bytes; shorten its lists of categories")
    try:
        tree = tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PackageError(f"{file}: {error}") from error
    try:
        _refuse_unknown_keys(tree)
        return msgspec.convert(_ranges_apart(tree), ModelPackage)
    except (PackageError, msgspec.ValidationError) as error:
        what, _, where = str(error).partition(" - at `$.")
        key = where.rstrip("`")
        raise PackageError(f"{file}: {key}: {what}" if key else f"{file}: {what}") from error


def write_package(package: ModelPackage, folder: str | Path) -> Path:
    """Write the `model.toml` of a folder, which is made if need be; returns the file."""
    file = Path(folder) / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(tomlkit.dumps(_document(package)), "utf-8")
    return file


def nearest(name: str, known: tuple[str, ...]) -> str:
    """Suggest the known name that a misspelt one probably means.

    >>> nearest("treshold", ("classes", "threshold"))
    '; did you mean threshold?'
    """
    close = difflib.get_close_matches(name, known, 1, 0.5)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(known)}"


_INPUT_KEYS = ("name", "kind", "required", "categories", "range")
_TABLES: dict[str, type[msgspec.Struct]] = {"outputs": Outputs, "limits": Limits, "tolerance": Tolerance}
_TABLE_KEYS = {key: table.__struct_fields__ for key, table in _TABLES.items()}


def _refuse_unknown_keys(tree: dict[str, Any]) -> None:
    tables: list[tuple[str, Any, tuple[str, ...]]] = [("", tree, ModelPackage.__struct_fields__)]
    tables += [(f"{key}.", tree.get(key), known) for key, known in _TABLE_KEYS.items()]
    inputs = tree.get("inputs")
    if isinstance(inputs, list):
        tables += [(f"inputs[{n}].", feature, _INPUT_KEYS) for n, feature in enumerate(inputs)]
    for where, table, known in tables:
        for key in table if isinstance(table, dict) else ():
            if key not in known:
                raise PackageError(f"unknown key {where}{key}{nearest(key, known)}")


def _ranges_apart(tree: dict[str, Any]) -> dict[str, Any]:
    """Turn each input's ``range = [low, high]`` into the schema's two fields; an infinite end is an open one."""
    if not isinstance(tree.get("inputs"), list):
        return tree
    inputs = []
    for n, table in enumerate(tree["inputs"]):
        if isinstance(table, dict) and "range" in table:
            ends = table["range"]
            if not isinstance(ends, list) or len(ends) != 2:
                raise PackageError(f"inputs[{n}].range must be [low, high], got {ends!r}")
            low, high = (None if end in (-math.inf, math.inf) else end for end in ends)
            inputs.append({key: value for key, value in table.items() if key != "range"} | {"low": low, "high": high})
        else:
            inputs.append(table)
    return tree | {"inputs": inputs}


def _document(package: ModelPackage) -> tomlkit.TOMLDocument:
    document = tomlkit.document()
    for key in ("name", "version", "task", "artefact", "owner"):
        document[key] = getattr(package, key)
    if package.variant != "fp32":
        document["variant"] = package.variant
    document["segments"] = list(package.segments)
    for key in _TABLES:
        document[key] = {k: v for k, v in msgspec.to_builtins(getattr(package, key)).items() if v not in ("", [], None)}
    inputs = tomlkit.aot()
    for feature in package.inputs:
        inputs.append(_input(feature))
    document["inputs"] = inputs
    return document


def _input(feature: Feature) -> tomlkit.items.Table:
    table = tomlkit.table()
    table["name"], table["kind"], table["required"] = feature.name, feature.kind, feature.required
    if feature.categories:
        table["categories"] = list(feature.categories)
    if feature.low is not None or feature.high is not None:
        low = -math.inf if feature.low is None else feature.low
        table["range"] = [low, math.inf if feature.high is None else feature.high]
    return table
