"""The answer to a request: its scores, at which shapes they were made, and which rows have none."""

from itertools import pairwise

import msgspec
import numpy as np

from inference.oip.requests import InferAnswer, InferRequest
from inference.packages.model_toml import ModelPackage
from inference.serving.scorer import Scores

#: Of the reason why a row has no score.
_WHY_MAX = 300


def answer_of(request: InferRequest, package: ModelPackage, scores: Scores) -> InferAnswer:
    """Make the answer of a version to a request.

    Parameters
    ----------
    request
        What was asked.
    package
        The version.
    scores
        Of the request's rows.
    """
    values = scores.values
    parameters = {"buckets": msgspec.json.encode(_runs(scores.buckets)).decode()}
    if scores.failures:
        values = values.copy()
        values[sorted(scores.failures)] = np.nan  # a score that is no probability is none
        failed = {str(row): failure.why[:_WHY_MAX] for row, failure in sorted(scores.failures.items())}
        parameters["failed_rows"] = msgspec.json.encode(failed).decode()
    return InferAnswer(package.name, package.version, request.id, values, parameters)


def _runs(buckets: np.ndarray) -> list[list[int]]:
    """Runs of rows of one shape.

    >>> _runs(np.array([64, 64, 16]))
    [[64, 2], [16, 1]]
    """
    starts = [0, *(np.flatnonzero(np.diff(buckets)) + 1).tolist(), len(buckets)]
    return [[int(buckets[first]), stop - first] for first, stop in pairwise(starts)]
