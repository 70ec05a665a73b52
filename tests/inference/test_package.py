import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference import Limits, ModelPackage, Outputs, PackageError, read_package, write_package
from streams.names import is_name
from streams.wire.schema import RESERVED, Feature, SchemaError

NAMES = st.text(min_size=1, max_size=8).filter(lambda name: name not in RESERVED and is_name("column", name))
LEVELS = st.lists(st.text(max_size=6), min_size=1, max_size=4, unique=True).map(tuple)
ENDS = st.tuples(
    st.none() | st.floats(-1e6, 0, allow_nan=False),
    st.none() | st.floats(0, 1e6, allow_nan=False),
)
FEATURES = st.one_of(
    st.builds(lambda name, ends, required: Feature(name, "numeric", required, (), *ends), NAMES, ENDS, st.booleans()),
    st.builds(lambda name, levels: Feature(name, "categorical", categories=levels), NAMES, LEVELS),
    st.builds(lambda name: Feature(name, "boolean"), NAMES),
)

WRITTEN = """
name = "churn"
version = "v1"
task = "binary"
artefact = "model.pt2"
segments = ["city"]

[outputs]
classes = ["no", "yes"]
threshold = 0.4

[limits]
batch_rows = 64

[[inputs]]
name = "age"
range = [0, 120]

[[inputs]]
name = "city"
kind = "categorical"
categories = ["Rome", "Oslo"]
required = true
"""


def written(folder, text=WRITTEN):
    (folder / "model.toml").write_text(text)
    return folder


def test_a_file_written_by_hand_is_read(tmp_path):
    package = read_package(written(tmp_path))
    assert package == ModelPackage(
        name="churn",
        version="v1",
        task="binary",
        artefact="model.pt2",
        segments=("city",),
        outputs=Outputs(("no", "yes"), "yes", 0.4),
        limits=Limits(batch_rows=64),
        inputs=(
            Feature("age", low=0.0, high=120.0),
            Feature("city", "categorical", required=True, categories=("Rome", "Oslo")),
        ),
    )
    assert package.schema.names == ("age", "city")


@given(st.lists(FEATURES, min_size=1, max_size=4, unique_by=lambda feature: feature.name), st.text(max_size=20))
def test_what_is_written_is_read(tmp_path_factory, features, owner):
    package = ModelPackage(
        name="m", version="2026-11-21", task="binary", artefact="a/m.pt2", inputs=tuple(features), owner=owner
    )
    folder = tmp_path_factory.mktemp("package")
    write_package(package, folder)
    assert read_package(folder) == package


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("task =", "tusk =", "unknown key tusk; did you mean task?"),
        ("threshold", "treshold", "unknown key outputs.treshold; did you mean threshold?"),
        ("batch_rows = 64", "batch_row = 64", "unknown key limits.batch_row; did you mean batch_rows?"),
        ("categories", "categorie", "unknown key inputs[1].categorie; did you mean categories?"),
        ('"categorical"', '"text"', "inputs[1].kind: Invalid enum value 'text'"),
        ("[0, 120]", "[0]", "inputs[0].range must be [low, high], got [0]"),
        ("[0, 120]", "[120, 0]", "swap the ends"),
        ('"binary"', '"ranking"', "task: Invalid enum value 'ranking'"),
        ('"v1"', '"../v1"', "version '../v1'"),
        ('"churn"', '"a/b"', "model 'a/b'"),
        ('"model.pt2"', '"../model.pt2"', "name a file inside the package's folder"),
        ('"model.pt2"', '"/model.pt2"', "name a file inside the package's folder"),
        ('["city"]', '["cty"]', "segment 'cty' is no input; did you mean city?"),
        ('["city"]', '["age"]', "segment 'age' is numeric"),
        ('["no", "yes"]', '["no"]', "two classes"),
        ("0.4", "1.4", "outputs.threshold: Expected `float` <= 1.0"),
        ("= 64", "= 65", "limits.batch_rows: Expected `int` that's a multiple of 16"),
        ('"age"', '"score"', "taken by Driftline's own columns"),
        ('name = "churn"', "", "missing required field `name`"),
        ("[limits]", "[limits", "Expected ']'"),
        ('"binary"', '"regression"', "a regression has neither classes nor a positive one"),
    ],
)
def test_a_refusal_names_the_file_the_key_and_the_remedy(tmp_path, was, now, said):
    with pytest.raises(PackageError) as refused:
        read_package(written(tmp_path, WRITTEN.replace(was, now, 1)))
    assert str(tmp_path / "model.toml") in str(refused.value)
    assert said in str(refused.value)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(PackageError, match="no such file; `driftline model init` writes one"):
        read_package(tmp_path)


def test_a_package_needs_inputs():
    with pytest.raises(SchemaError, match="at least one feature"):
        ModelPackage(name="m", version="v1", task="binary", artefact="m.pt2", inputs=())
