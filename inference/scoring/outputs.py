"""What scores mean: the number that clients and monitors see, and the class it stands for.

>>> from streams.wire.schema import Feature
>>> package = ModelPackage(name="m", version="v1", task="binary", artefact="m.pt2", inputs=(Feature("x"),))
>>> said = answers(package, np.array([[0.25], [0.5]], np.float32))
>>> said.score.tolist(), said.texts()
([0.25, 0.5], ['0', '1'])
"""

import msgspec
import numpy as np

from inference.packages.model_toml import ModelPackage
from streams.wire.schema import level_text


class Answers(msgspec.Struct, frozen=True):
    """Scores as a package reads them.

    Attributes
    ----------
    score
        float32 [rows]: probability of the positive class, of the top class, or the regression's value.
    classes
        Class names; empty for a regression.
    codes
        int32 [rows], each row's place in ``classes``; None for a regression.
    probabilities
        float32 [rows, classes] of a multiclass model, else None.
    """

    score: np.ndarray
    classes: tuple[str, ...]
    codes: np.ndarray | None
    probabilities: np.ndarray | None = None

    def texts(self) -> list[str]:
        """Predictions as clients read them: the class, or the value's text."""
        if self.codes is None:
            return [level_text(value) for value in self.score.tolist()]
        return [self.classes[code] for code in self.codes.tolist()]


def answers(package: ModelPackage, values: np.ndarray) -> Answers:
    """Read scores, float32 [rows, outputs], as the package says."""
    outputs = package.outputs
    if package.task == "regression":
        return Answers(values[:, 0], (), None)
    if package.task == "multiclass":
        codes = values.argmax(1).astype(np.int32)
        return Answers(np.take_along_axis(values, codes[:, None], 1)[:, 0], outputs.classes, codes, values)
    positive = outputs.classes.index(outputs.positive)
    score = values[:, positive] if values.shape[1] == 2 else values[:, 0]
    # The threshold is rounded to float32 as the scores are: at 0.1, a score written 0.1 is positive.
    predicted = score >= np.float32(outputs.threshold)
    return Answers(score, outputs.classes, np.where(predicted, positive, 1 - positive).astype(np.int32))
