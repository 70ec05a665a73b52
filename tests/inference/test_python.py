import textwrap

import numpy as np
import pytest

from inference import ArtefactError, ModelPackage, Scorer, UntrustedCodeError
from inference.backends import load_artefact
from streams.wire.schema import Feature

PACKAGE = ModelPackage(
    name="fare",
    version="v1.2",
    task="regression",
    artefact="model.py:Fare",
    inputs=(Feature("km"), Feature("city", "categorical", categories=("Rome", "Oslo"))),
)

FARE = """
    class Fare:
        def load(self, device):
            self.base = {"Rome": 2.0, "Oslo": 4.0, "": 3.0, None: 1.0}
            self.device = device

        def predict(self, batch):
            base = [self.base[level] for level in batch["city"]]
            return batch["km"] * 1.5 + base
"""


def written(folder, text):
    (folder / "model.py").write_text(textwrap.dedent(text))
    return folder


def test_the_smallest_model(tmp_path):
    model = load_artefact(PACKAGE, written(tmp_path, FARE), "cpu", trust_code=True)
    matrix = np.array([[2, 0], [2, 1], [2, 2], [2, 3]], np.float32)  # Rome, Oslo, unknown, missing
    assert Scorer(PACKAGE, model)(matrix).values[:, 0].tolist() == [5.0, 7.0, 6.0, 4.0]


def test_code_that_nobody_vouched_for_does_not_run(tmp_path):
    marker = tmp_path / "ran"
    folder = written(tmp_path, f"open({str(marker)!r}, 'w').close()\n")
    with pytest.raises(UntrustedCodeError, match="--trust-code"):
        load_artefact(PACKAGE, folder, "cpu")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1", "it has no class 'Fare'"),
        ("Fare = 1", "it has no class 'Fare'"),
        ("class Fare:\n    def load(self, device): ...", "class Fare needs a method predict"),
    ],
)
def test_a_file_without_the_class_is_refused(tmp_path, text, said):
    with pytest.raises(ArtefactError, match=said):
        load_artefact(PACKAGE, written(tmp_path, text), trust_code=True)


@pytest.mark.parametrize("artefact", ["model.pkl", "model.py", "model.pt2:Class", "model.joblib"])
def test_other_kinds_of_files_are_refused(tmp_path, artefact):
    package = ModelPackage(name="m", version="v1", task="regression", artefact=artefact, inputs=(Feature("x"),))
    (tmp_path / artefact.partition(":")[0]).write_bytes(b"")
    with pytest.raises(ArtefactError, match=r"model\.pt2.*model\.py:Class"):
        load_artefact(package, tmp_path, trust_code=True)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ArtefactError, match=r"model\.py: no such file"):
        load_artefact(PACKAGE, tmp_path, trust_code=True)


@pytest.mark.parametrize("where", ["at import", "while it is made", "while it loads"])
@pytest.mark.parametrize("raised", ["SystemExit(3)", "GeneratorExit", "OSError(5, 'gone')", "RecursionError('deep')"])
def test_whatever_a_class_raises_while_it_is_loaded_is_a_refusal(tmp_path, where, raised):
    text = {
        "at import": f"raise {raised}",
        "while it is made": f"class Fare:\n def __init__(self): raise {raised}\n def load(self, d): ...\n"
        " def predict(self, b): ...",
        "while it loads": f"class Fare:\n def load(self, d): raise {raised}\n def predict(self, b): ...",
    }[where]
    with pytest.raises(ArtefactError, match=rf"fare v1.2 fails while it is loaded: {raised.partition('(')[0]}"):
        load_artefact(PACKAGE, written(tmp_path, text), "cpu", trust_code=True)


@pytest.mark.parametrize("given", ["batch['km'] + 1j", "['a'] * len(batch)", "[object()] * len(batch)"])
def test_what_is_no_number_is_refused_and_not_cast(tmp_path, given):
    text = f"class Fare:\n    def load(self, device): ...\n    def predict(self, batch): return {given}\n"
    model = load_artefact(PACKAGE, written(tmp_path, text), trust_code=True)
    with pytest.raises(TypeError, match=r"predict\(\) gave values of type .*; give numbers"):
        model.score(np.zeros((2, 2), np.float32))
