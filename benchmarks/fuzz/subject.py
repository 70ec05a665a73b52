"""Who is fuzzed: a model with a feature of every kind, in a registry as any other, and the schemas that Avro names."""

from pathlib import Path
from typing import Any

import fastavro

from inference import Limits, ModelPackage, Registry, write_package
from streams.wire.schema import Feature, FeatureSchema

MODEL = "subject"
#: A value that the model cannot bear, as it cannot bear infinity.
UNBEARABLE = 666.0

PACKAGE = ModelPackage(
    name=MODEL,
    version="v1",
    task="binary",
    artefact="model.py:Subject",
    inputs=(
        Feature("tenure"),
        Feature("age", required=True, low=0, high=120),
        Feature("city", "categorical", categories=("Rome", "16", "Oslo")),
        Feature("member", "boolean"),
        Feature("plan", "categorical", required=True, categories=("a", "b")),
    ),
    segments=("plan",),
    limits=Limits(batch_rows=512),
)
SCHEMA = FeatureSchema(PACKAGE.inputs)

_CODE = f"""
import numpy as np


class Subject:
    def load(self, device):
        pass

    def predict(self, batch):
        age = batch["age"]
        if (age == {UNBEARABLE}).any():
            raise ValueError("unbearable")
        with np.errstate(over="ignore"):
            return np.where(np.isfinite(age), 1 / (1 + np.exp(-age / 50)), np.nan)
"""


def register(folder: Path) -> None:
    """Put the model into a registry in ``folder / "models"``."""
    work = folder / "package"
    work.mkdir(parents=True)
    write_package(PACKAGE, work)
    (work / "model.py").write_text(_CODE)
    Registry(folder / "models").add(work)


def _record(name: str, fields: list[tuple[str, Any]]) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": field, "type": kind} for field, kind in fields]}


def _or_null(kind: Any) -> list[Any]:
    return ["null", kind]


_FEATURES: list[tuple[str, Any]] = [
    ("tenure", _or_null("float")),
    ("age", "double"),
    ("city", _or_null("string")),
    ("member", _or_null("boolean")),
    ("plan", "string"),
]

#: Writers' schemas by number; whoever asks for another is told that there is none.
AVRO: dict[int, Any] = {
    1: _record("Flat", [("id", _or_null("string")), *_FEATURES]),
    2: _record("Nested", [("ts", _or_null("long")), ("features", _record("Features", _FEATURES))]),
    # Of one name and another meaning: every type that Avro has stands where a number is wanted.
    3: _record(
        "Strange",
        [
            ("age", ["null", "bytes", "boolean", "string", {"type": "array", "items": "long"}]),
            ("plan", {"type": "enum", "name": "Plan", "symbols": ["a", "b", "c"]}),
            ("ts", {"type": "long", "logicalType": "timestamp-micros"}),
            ("city", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}),
            ("features", ["null", {"type": "map", "values": ["null", "double", "string"]}]),
        ],
    ),
    4: _record("List", [("age", "double"), ("plan", "string"), ("next", _or_null("List"))]),
    5: {"type": "array", "items": "string"},
}
PARSED = {number: fastavro.parse_schema(schema) for number, schema in AVRO.items()}
