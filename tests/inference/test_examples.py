"""What a package's examples hold, and that a version which does not reproduce them does not serve."""

import numpy as np
import pyarrow as pa
import pytest

from inference import ArtefactError, PackageError, Registry, Scorer, Shapes, read_package
from inference.packages.model_toml import EXAMPLES, Limits, ModelPackage, Outputs, Tolerance
from inference.serving.examples import check_examples, read_examples, write_examples
from streams.wire.schema import Feature

INPUTS = (Feature("x"), Feature("city", "categorical", categories=("Oslo", "Rome")), Feature("vip", "boolean"))
TABLE = pa.table(
    {
        "x": pa.array([*map(float, range(1, 40)), None]),
        "city": pa.array([None, "Rome", "Oslo", "Oslo"] * 10),
        "vip": pa.array([True, False, None, True] * 10),
        "y": pa.array(range(40)),
    }
)


class Sum:
    """Score = x + 100 city + 1000 vip, nulls as 0; ``at`` batches of so many rows it is off by ``off`` parts of it."""

    def __init__(self, off=0.0, at=16, constant=0.0, outputs=1):
        self.shapes = Shapes((16, 64))
        self.off, self.at, self.constant, self.outputs = off, at, constant, outputs

    def score(self, matrix):
        score = np.nan_to_num(matrix) @ np.array([1, 100, 1000], np.float32)
        score = score * (1 + self.off) + self.constant if len(matrix) == self.at else score
        return np.repeat(score[:, None], self.outputs, 1).astype(np.float32)

    def health(self):
        return ""


def package(**more):
    known = {"name": "m", "version": "v1", "task": "regression", "artefact": "model.py:M", "inputs": INPUTS}
    return ModelPackage(**{**known, "limits": Limits(64, buckets=(16,)), **more})


@pytest.fixture
def folder(tmp_path):
    assert write_examples(Scorer(package(), Sum()), TABLE, tmp_path) == 40
    return tmp_path


def test_the_file_has_the_table_s_values_and_the_scores_of_its_rows(folder):
    with pa.ipc.open_file(folder / EXAMPLES) as opened:
        rows = opened.read_all().to_pylist()
    assert sorted((row["x"] or 0) for row in rows) == [0, *map(float, range(1, 40))]
    assert sorted(str(row["city"]) for row in rows) == sorted(map(str, TABLE["city"].to_pylist()))
    by_hand = [
        (row["x"] or 0) + 100 * {"Oslo": 0, "Rome": 1, None: 3}[row["city"]] + 1000 * bool(row["vip"]) for row in rows
    ]
    assert [row["score"] for row in rows] == [[score] for score in by_hand]


def test_no_line_is_a_line_of_the_table(folder):
    with pa.ipc.open_file(folder / EXAMPLES) as opened:
        lines = opened.read_all().drop_columns("score").to_pylist()
    same = [line for line in lines if line in TABLE.drop_columns("y").to_pylist()]
    assert len(same) < 10  # of so few levels some meet by chance


@pytest.mark.parametrize("at", [16, 64])
def test_a_model_that_is_off_at_one_batch_shape_is_refused(folder, at):
    check_examples(Scorer(package(), Sum(5e-4, at)), folder)
    said = rf"m v1 does not reproduce \d+ of 40 examples: row \d+ in a batch of {at} rows: [\d.]+; [\d.]+ expected"
    with pytest.raises(ArtefactError, match=said):
        check_examples(Scorer(package(), Sum(2e-3, at)), folder)
    check_examples(Scorer(package(tolerance=Tolerance(relative=0.01)), Sum(2e-3, at)), folder)


def test_a_small_score_may_be_off_by_what_its_output_usually_is(folder):
    """Single precision: the rounding of a sum is that of its parts."""
    median = np.median(read_examples(package(), folder)[1])
    check_examples(Scorer(package(), Sum(constant=median * 0.9e-3)), folder)
    with pytest.raises(ArtefactError, match="does not reproduce"):
        check_examples(Scorer(package(), Sum(constant=median * 1.2e-3)), folder)


def test_levels_or_columns_in_another_order_and_other_outputs_are_refused(folder):
    turned = (INPUTS[0], Feature("city", "categorical", categories=("Rome", "Oslo")), INPUTS[2])
    with pytest.raises(ArtefactError, match="does not reproduce"):
        check_examples(Scorer(package(inputs=turned), Sum()), folder)
    with pytest.raises(ArtefactError, match="does not reproduce"):
        check_examples(Scorer(package(inputs=INPUTS[::-1]), Sum()), folder)
    three = package(task="multiclass", outputs=Outputs(("a", "b", "c")))
    with pytest.raises(ArtefactError, match="1 outputs, and m v1 has 3"):
        check_examples(Scorer(three, Sum(outputs=3)), folder)


def test_a_model_that_fails_on_an_example_is_refused(folder):
    class Fails(Sum):
        def score(self, matrix):
            return np.where(matrix[:, :1] == 7, np.nan, super().score(matrix)).astype(np.float32)

    with pytest.raises(ArtefactError, match="model gave NaN"):
        check_examples(Scorer(package(), Fails()), folder)


def test_rows_without_a_score_are_no_examples(tmp_path):
    class Fails(Sum):
        def score(self, matrix):
            return np.where(matrix[:, :1] > 5, np.nan, super().score(matrix)).astype(np.float32)

    assert write_examples(Scorer(package(), Fails()), TABLE, tmp_path) == 6  # 1 to 5, and the null
    check_examples(Scorer(package(), Fails()), tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"ARROW1\0\0 rubbish",
        b"x" * 20_000_000,
        lambda: pa.table({"x": [1.0], "city": ["Oslo"], "vip": [True]}),
        lambda: pa.table({"x": [1.0], "city": ["Oslo"], "vip": [True], "score": [1.0]}),
        lambda: pa.table({"x": [1.0], "score": pa.array([[1.0]], pa.list_(pa.float32(), 1))}),
        lambda: pa.table({n: pa.array([v] * 5_000) for n, v in {"x": 1.0, "city": "Oslo", "vip": True}.items()}),
    ],
)
def test_a_file_that_holds_no_examples_is_refused(tmp_path, content):
    if callable(content):
        table = content()
        with pa.ipc.new_file(tmp_path / EXAMPLES, table.schema) as writer:
            writer.write_table(table)
    else:
        (tmp_path / EXAMPLES).write_bytes(content)
    with pytest.raises(PackageError, match=r"examples\.arrow: not the examples of this package"):
        read_examples(package(), tmp_path)


CODE = """
class Fare:
    def load(self, device): ...
    def predict(self, batch):
        return batch["km"] * {rate}
"""
TOML = """
name = "fare"
version = "v1"
task = "regression"
artefact = "model.py:Fare"
[[inputs]]
name = "km"
[tolerance]
relative = {relative}
"""


def test_the_registry_loads_what_reproduces_its_examples_and_a_package_without_any(tmp_path):
    def written(rate, relative=1e-3):
        (tmp_path / "p").mkdir(exist_ok=True)
        (tmp_path / "p" / "model.py").write_text(CODE.format(rate=rate))
        (tmp_path / "p" / "model.toml").write_text(TOML.format(relative=relative))
        return tmp_path / "p"

    written(2)
    before = Registry(tmp_path / "before")
    assert EXAMPLES not in before.add(tmp_path / "p").files
    scorer = before.load("fare", "v1", trust_code=True)
    write_examples(scorer, pa.table({"km": [1.0, 2.0, 3.0]}), tmp_path / "p")
    registry = Registry(tmp_path / "registry")
    assert EXAMPLES in registry.add(written(2)).files
    registry.load("fare", "v1", trust_code=True)
    for name, relative in (("other", 1e-3), ("wide", 0.01)):
        other = Registry(tmp_path / name)
        other.add(written(2.01, relative))
        assert read_package(tmp_path / "p").tolerance.relative == relative
        if name == "wide":
            other.load("fare", "v1", trust_code=True)
            continue
        with pytest.raises(ArtefactError, match=r"examples\.arrow: fare v1 does not reproduce 3 of 3 examples"):
            other.load("fare", "v1", trust_code=True)
    (tmp_path / "p" / EXAMPLES).write_bytes(b"rubbish")
    with pytest.raises(PackageError, match="not the examples"):
        Registry(tmp_path / "third").add(tmp_path / "p")
