"""ONNX files against what they were converted from: scikit-learn, LightGBM, and ONNX's own reference."""

import warnings

import numpy as np
import onnx
import pandas as pd
import pyarrow as pa
import pytest
from onnx import TensorProto as Types
from onnx import helper
from onnx.reference import ReferenceEvaluator

from inference import ArtefactError, Fatal, Limits, ModelPackage, OutOfMemory, Outputs, Scorer, Shapes, matrix_of
from inference.backends import onnx_session
from inference.backends.kinds import kind_of
from inference.backends.onnx_model import OnnxModel
from inference.backends.onnx_program import read_onnx, rows_in
from inference.backends.onnx_session import CPU, CUDA, by_kind, providers
from streams.wire.schema import Feature

CITIES = ("Oslo", "Rome", "São Paulo")
INPUTS = (Feature("age"), Feature("kids", required=True), Feature("city", "categorical", categories=CITIES))


def package(task="binary", inputs=INPUTS, classes=("no", "yes"), **more):
    return ModelPackage(
        name="m",
        version="v1",
        task=task,
        artefact="model.onnx",
        inputs=inputs,
        outputs=Outputs(classes=classes) if task != "regression" else Outputs(),
        **more,
    )


def saved(model, folder):
    file = folder / "model.onnx"
    file.write_bytes(model.SerializeToString())
    return file


def loaded(model, folder, described, device="cpu"):
    """A backend, without a trial: that is tried in `test_onnx_hostile`."""
    file = saved(model, folder)
    return OnnxModel(read_onnx(described, file), file, Shapes(described.limits.shapes), device)


def graph(nodes, inputs, outputs, initializers=(), **more):
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(*given) for given in inputs],
        [helper.make_tensor_value_info(*given) for given in outputs],
        list(initializers),
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(made, opset_imports=opsets, ir_version=8, **more)


@pytest.fixture(scope="module")
def people():
    rng = np.random.default_rng(3)
    n = 600
    frame = pd.DataFrame(
        {
            "age": rng.normal(40, 12, n).astype(np.float32),
            "kids": rng.integers(0, 5, n),
            "city": rng.choice(CITIES, n),
        }
    )
    score = (frame.age - 40) / 10 + frame.kids / 4 + (frame.city == "Rome") * 2 + rng.normal(0, 1, n)
    return frame.assign(y=np.where(score > 1, "yes", "no"), third=pd.cut(score, 3, labels=["a", "b", "c"]).astype(str))


@pytest.fixture(scope="module")
def pipeline(people):
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    columns = [("age", SimpleImputer(), ["age", "kids"]), ("c", OneHotEncoder(handle_unknown="ignore"), ["city"])]
    return make_pipeline(ColumnTransformer(columns), LogisticRegression(max_iter=500)).fit(people, people.y)


def converted(estimator, example, **options):
    from skl2onnx import to_onnx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return to_onnx(estimator, example, **options)


@pytest.mark.parametrize("maps", [True, False])
def test_a_pipeline_with_text_says_what_scikit_learn_says(pipeline, people, tmp_path, maps):
    model = converted(pipeline, people[["age", "kids", "city"]][:1], options={"zipmap": maps})
    scorer = Scorer(package(), loaded(model, tmp_path, package()))
    seen = people[["age", "kids", "city"]].copy()
    seen.loc[0, "age"], seen.loc[1, "city"] = np.nan, "Bergen"  # a missing value, a level that it does not know
    scores = scorer(matrix_of(pa.table(seen), package().schema))
    assert scores.failures == {}
    assert scores.values == pytest.approx(pipeline.predict_proba(seen), abs=1e-6)


@pytest.mark.parametrize("maps", [True, False])
def test_columns_follow_the_classes_of_the_package(pipeline, people, tmp_path, maps):
    model = converted(pipeline, people[["age", "kids", "city"]][:1], options={"zipmap": maps})
    turned = package(classes=("yes", "no"))
    values = Scorer(turned, loaded(model, tmp_path, turned))(matrix_of(pa.table(people), turned.schema)).values
    assert values == pytest.approx(pipeline.predict_proba(people)[:, ::-1], abs=1e-6)
    with pytest.raises(ArtefactError, match=r"its classes are no, yes, and model\.toml has 0, 1"):
        loaded(model, tmp_path, package(classes=("0", "1")))


def test_the_classes_of_a_network_of_scikit_learn_are_read_behind_its_label(people, tmp_path):
    from sklearn.neural_network import MLPClassifier

    columns = people[["age", "kids"]].to_numpy(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = MLPClassifier((4,), max_iter=5, random_state=0).fit(columns, people.third)
    model = converted(net, columns[:1], options={"zipmap": False})
    turned = package("multiclass", INPUTS[:2], ("c", "a", "b"))
    values = Scorer(turned, loaded(model, tmp_path, turned))(columns).values
    assert values == pytest.approx(net.predict_proba(columns)[:, [2, 0, 1]], abs=1e-6)
    with pytest.raises(ArtefactError, match="its classes are a, b, c"):
        loaded(model, tmp_path, package("multiclass", INPUTS[:2], ("c", "a", "d")))


def test_a_regression_says_what_scikit_learn_says(people, tmp_path):
    from sklearn.ensemble import HistGradientBoostingRegressor

    columns = people[["age", "kids"]].to_numpy(np.float32)
    trees = HistGradientBoostingRegressor(max_iter=20).fit(columns, columns[:, 0] * 3 + columns[:, 1])
    described = package("regression", INPUTS[:2])
    columns[::7, 0] = np.nan
    values = Scorer(described, loaded(converted(trees, columns[:1]), tmp_path, described))(columns).values
    assert values[:, 0] == pytest.approx(trees.predict(columns), rel=1e-5)


def test_lightgbm_says_what_lightgbm_says(people, tmp_path):
    import lightgbm
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    columns = people[["age", "kids"]].to_numpy(np.float32)
    trees = lightgbm.LGBMClassifier(n_estimators=20, verbose=-1, num_threads=1).fit(columns, people.y)
    model = convert_lightgbm(trees, initial_types=[("X", FloatTensorType([None, 2]))])
    described = package(inputs=INPUTS[:2])
    columns[::7, 0] = np.nan
    values = Scorer(described, loaded(model, tmp_path, described))(columns).values
    assert values == pytest.approx(trees.predict_proba(columns), abs=1e-5)


def test_every_type_of_column_is_fed(tmp_path):
    inputs = [
        ("double", Types.DOUBLE, ["n", 1]),
        ("whole", Types.INT64, ["n", 1]),
        ("small", Types.INT32, ["n"]),
        ("flag", Types.BOOL, ["n", 1]),
        ("code", Types.INT64, ["n", 1]),
    ]
    shape = helper.make_tensor("shape", Types.INT64, [2], [-1, 1])
    nodes = [helper.make_node("Reshape", ["small", "shape"], ["small2"])]
    nodes += [
        helper.make_node("Cast", [name], [f"{name}_f"], to=Types.FLOAT)
        for name in ("double", "whole", "small2", "flag", "code")
    ]
    nodes.append(helper.make_node("Sum", ["double_f", "whole_f", "small2_f", "flag_f", "code_f"], ["y"]))
    model = graph(nodes, inputs, [("y", Types.FLOAT, ["n", 1])], [shape])
    features = (Feature("code", "categorical", categories=("70", "9000")), Feature("double"), Feature("small"))
    described = package("regression", (*features, Feature("flag", "boolean"), Feature("whole")), limits=Limits(16))
    rows = np.zeros((8, 5), np.float32)
    rows[:, :] = [0, 0.5, 3, 1, 40]
    rows[1, 0] = 1
    rows[2, 4], rows[3, 4], rows[4, 3], rows[5, 0], rows[6, 4] = np.nan, 2.5, np.nan, 2, 1e30
    scores = Scorer(described, loaded(model, tmp_path, described))(rows)
    fed = {
        "double": np.full((2, 1), 0.5),
        "whole": np.full((2, 1), 40),
        "small": np.full(2, 3, np.int32),
        "flag": np.full((2, 1), True),
        "code": np.array([[70], [9000]]),
    }
    assert scores.values[:2].tolist() == ReferenceEvaluator(model).run(None, fed)[0].tolist()
    # What the type has no value for is that row's, and nobody else's.
    assert sorted(scores.failures) == [2, 3, 4, 5, 6]
    assert scores.values[7, 0] == scores.values[0, 0]


@pytest.mark.parametrize(
    ("inputs", "features", "why"),
    [
        ([("X", Types.FLOAT, ["n", 3])], ("a", "b"), r"takes 3 features, model\.toml lists 2 inputs \(a, b\)"),
        (
            [("a", Types.FLOAT, ["n", 1]), ("c", Types.FLOAT, ["n", 1])],
            ("a", "b"),
            r"c float \[rows, 1\].*not taken: b",
        ),
        (
            [("a", Types.STRING, ["n", 1]), ("b", Types.FLOAT, ["n", 1])],
            ("a", "b"),
            "a string .* is text, and 'a' numer",
        ),
        ([("a", Types.FLOAT, ["n", 4]), ("b", Types.FLOAT, ["n", 1])], ("a", "b"), r"\[rows, 1\] or \[rows\]"),
        ([("a", Types.COMPLEX64, ["n", 1]), ("b", Types.FLOAT, ["n", 1])], ("a", "b"), "of another type"),
        ([("a", Types.FLOAT, [16, 1]), ("b", Types.FLOAT, [32, 1])], ("a", "b"), r"batches of \[16, 32\] rows"),
        ([], ("a",), "takes no input"),
    ],
)
def test_inputs_that_are_not_the_package_s_are_refused(tmp_path, inputs, features, why):
    one = helper.make_tensor("one", Types.FLOAT, [1], [1.0])
    model = graph([helper.make_node("Identity", ["one"], ["y"])], inputs, [("y", Types.FLOAT, ["n"])], [one])
    described = package("regression", tuple(map(Feature, features)))
    with pytest.raises(ArtefactError, match=rf"model\.onnx: .*{why}"):
        read_onnx(described, saved(model, tmp_path))


@pytest.mark.parametrize(
    ("outputs", "why"),
    [
        ([("label", Types.INT64, ["n"])], "none of them numbers with a fraction"),
        ([("a", Types.FLOAT, ["n"]), ("b", Types.FLOAT, ["n"])], "not clear which are the scores"),
    ],
)
def test_outputs_that_cannot_be_the_scores_are_refused(tmp_path, outputs, why):
    nodes = [helper.make_node("Cast", ["X"], [name], to=kind) for name, kind, _ in outputs]
    model = graph(nodes, [("X", Types.FLOAT, ["n", 2])], outputs)
    with pytest.raises(ArtefactError, match=why):
        read_onnx(package(inputs=INPUTS[:2]), saved(model, tmp_path))


def test_a_graph_of_one_number_of_rows_has_one_bucket(tmp_path):
    model = graph(
        [helper.make_node("ReduceSum", ["X"], ["y"], keepdims=0)],
        [("X", Types.FLOAT, [32, 2])],
        [("y", Types.FLOAT, [])],
    )
    file = saved(model, tmp_path)
    assert (rows_in(file), kind_of("model.onnx").rows(file)) == (32, 32)
    with pytest.raises(ArtefactError, match=r"batches of 32 rows, model\.toml says limits\.batch_rows = 512"):
        read_onnx(package(inputs=INPUTS[:2]), file)
    read_onnx(package(inputs=INPUTS[:2], limits=Limits(32)), file)


def test_a_score_does_not_depend_on_its_company(people, tmp_path):
    rng = np.random.default_rng(0)
    width, hidden = 30, 37
    tensors = [
        helper.make_tensor(name, Types.FLOAT, shape, rng.normal(size=shape).astype(np.float32).ravel())
        for name, shape in {"W": (width, hidden), "b": (hidden,), "V": (hidden, 3)}.items()
    ]
    nodes = [
        helper.make_node("Gemm", ["X", "W", "b"], ["h"]),
        helper.make_node("Tanh", ["h"], ["t"]),
        helper.make_node("MatMul", ["t", "V"], ["z"]),
        helper.make_node("Softmax", ["z"], ["p"]),
    ]
    model = graph(nodes, [("X", Types.FLOAT, ["n", width])], [("p", Types.FLOAT, ["n", 3])], tensors)
    buckets = Limits(512, buckets=(16, 64))
    described = package("multiclass", tuple(Feature(f"x{n}") for n in range(width)), ("a", "b", "c"), limits=buckets)
    scorer = Scorer(described, loaded(model, tmp_path, described))
    rows = rng.normal(size=(512, width)).astype(np.float32)
    order = rng.permutation(512)
    for bucket in buckets.shapes:
        shapes = np.full(512, bucket, np.int32)
        straight, mixed = scorer(rows, buckets=shapes).values, scorer(rows[order], buckets=shapes).values
        assert straight[order].tobytes() == mixed.tobytes()
        assert straight == pytest.approx(ReferenceEvaluator(model).run(None, {"X": rows})[0], abs=1e-5)


def test_cuda_computes_where_its_provider_is_and_the_cpu_where_not(tmp_path, monkeypatch):
    model = graph(
        [helper.make_node("Relu", ["X"], ["y"])], [("X", Types.FLOAT, ["n", 1])], [("y", Types.FLOAT, ["n", 1])]
    )
    asked = []
    real = onnx_session.onnxruntime.InferenceSession

    def session(content, options, providers):
        asked.append(providers)
        return real(content, options, providers=[CPU])

    monkeypatch.setattr(onnx_session.onnxruntime, "InferenceSession", session)
    loaded(model, tmp_path, package("regression", INPUTS[:1]), "cuda:1")
    monkeypatch.setattr(onnx_session.onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    loaded(model, tmp_path, package("regression", INPUTS[:1]), "cuda:1")
    assert asked == [[CPU], [(CUDA, {"device_id": "1", "use_tf32": "0"}), CPU]]
    assert providers("cpu") == [CPU]


@pytest.mark.gpu
def test_cuda_says_what_the_cpu_says(tmp_path):
    if CUDA not in onnx_session.onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has no CUDA provider; onnxruntime-gpu has it")
    rng = np.random.default_rng(0)
    weight = helper.make_tensor("W", Types.FLOAT, [30, 3], rng.normal(size=90).astype(np.float32))
    nodes = [helper.make_node("MatMul", ["X", "W"], ["z"]), helper.make_node("Softmax", ["z"], ["p"])]
    model = graph(nodes, [("X", Types.FLOAT, ["n", 30])], [("p", Types.FLOAT, ["n", 3])], [weight])
    described = package("multiclass", tuple(Feature(f"x{n}") for n in range(30)), ("a", "b", "c"))
    rows = rng.normal(size=(1_000, 30)).astype(np.float32)
    on_cuda = Scorer(described, loaded(model, tmp_path, described, "cuda:0"))
    assert on_cuda.backend._session.get_providers()[0] == CUDA
    on_cpu = Scorer(described, loaded(model, tmp_path, described))(rows).values
    assert on_cuda(rows).values == pytest.approx(on_cpu, abs=1e-5)
    order = rng.permutation(1_000)
    assert on_cuda(rows[order]).values.tobytes() == on_cuda(rows).values[order].tobytes()


@pytest.mark.parametrize(
    ("device", "text", "kind"),
    [
        ("cuda:0", "CUDA failure 700: an illegal memory access was encountered ; GPU=0", Fatal),
        ("cuda:0", "CUDA failure 2: out of memory ; GPU=0 ; hostname=x", OutOfMemory),
        ("cpu", "Failed to allocate memory for requested buffer of size 99", OutOfMemory),
        ("cpu", "Non-zero status code returned while running Reshape node", RuntimeError),
    ],
)
def test_errors_have_kinds(device, text, kind):
    with pytest.raises(kind) as raised, by_kind(device):
        raise RuntimeError(text)
    assert type(raised.value) is kind


def test_old_files_list_their_weights_among_their_inputs(tmp_path):
    weight = helper.make_tensor("w", Types.FLOAT, [2, 1], [2.0, 3.0])
    inputs = [("X", Types.FLOAT, ["n", 2]), ("w", Types.FLOAT, [2, 1])]
    model = graph([helper.make_node("MatMul", ["X", "w"], ["y"])], inputs, [("y", Types.FLOAT, ["n", 1])], [weight])
    model.ir_version = 3
    onnx.checker.check_model(model)
    described = package("regression", INPUTS[:2])
    rows = np.array([[1, 10], [2, 20]], np.float32)
    assert Scorer(described, loaded(model, tmp_path, described))(rows).values.tolist() == [[32.0], [64.0]]
