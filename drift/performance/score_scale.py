"""Whether scores are probabilities: percent and margins look like them to everything but an estimate."""

import numpy as np


def scale_note(scores: np.ndarray) -> str:
    """Say what scores of a classifier are if they are no probabilities; empty where they are.

    Parameters
    ----------
    scores
        float32 [rows]; NaN is missing.

    >>> scale_note(np.float32([12.5, 98.0]))
    'scores lie between 12.5 and 98: they look like percent, and a probability is from 0 to 1; divide them by 100, here and where the model answers: as they are, every answer counts as certain, and estimates of performance are wrong'
    >>> scale_note(np.float32([0, 1]))
    ''
    """  # noqa: E501
    finite = scores[np.isfinite(scores)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    if low >= 0 and high <= 1:
        return ""
    between = f"scores lie between {low:.3g} and {high:.3g}: they "
    if low >= 0 and 2 < high <= 100:
        return (
            between + "look like percent, and a probability is from 0 to 1; divide them by 100, here and where the "
            "model answers: as they are, every answer counts as certain, and estimates of performance are wrong"
        )
    return (
        between + "are no probabilities, which are from 0 to 1 (margins, perhaps, or logits); make probabilities of "
        "them, here and where the model answers: as they are, estimates of performance are wrong"
    )
