"""What other libraries compute under the same names, so that a migration can be checked against the old figures.

They differ in how they cut, in what they do with an empty cell, and in logarithms; see each function. None of them
has an interval.
"""

from collections.abc import Callable

import numpy as np
from scipy import stats
from scipy.spatial.distance import jensenshannon

Pair = tuple[np.ndarray, np.ndarray]


def evidently_psi(pair: Pair) -> float:
    """Evidently's ``psi``: Sturges' bins over both samples, empty shares made .0001 (or a millionth of the least)."""
    was, now = map(_filled, _evidently_shares(pair))
    return float(np.sum((was - now) * np.log(was / now)))


def evidently_js(pair: Pair) -> float:
    """Evidently's ``jensenshannon``: the same bins, natural logarithm, so at most .8326."""
    return float(jensenshannon(*_evidently_shares(pair)))


def evidently_kl(pair: Pair) -> float:
    """Evidently's ``kl_div``: KL(reference || current), the other way round, empty shares filled."""
    return float(stats.entropy(*map(_filled, _evidently_shares(pair))))


def evidently_wasserstein(pair: Pair) -> float:
    """Evidently's ``wasserstein``: divided by the reference's standard deviation, at least .001."""
    return float(stats.wasserstein_distance(*pair) / max(float(np.std(pair[0])), 0.001))


def nannyml_js(pair: Pair) -> float:
    """NannyML's ``jensen_shannon``: Doane's bins over the reference and one for the rest, base 2."""
    return float(jensenshannon(*_nannyml_shares(pair), base=2))


def nannyml_hellinger(pair: Pair) -> float:
    """NannyML's ``hellinger``, over the same bins as its ``jensen_shannon``."""
    was, now = _nannyml_shares(pair)
    return float(np.sqrt(np.sum((np.sqrt(was) - np.sqrt(now)) ** 2)) / np.sqrt(2))


PEERS: dict[str, Callable[[Pair], float]] = {
    "evidently.psi": evidently_psi,
    "evidently.js": evidently_js,
    "evidently.kl": evidently_kl,
    "evidently.wasserstein": evidently_wasserstein,
    "nannyml.js": nannyml_js,
    "nannyml.hellinger": nannyml_hellinger,
}


def _evidently_shares(pair: Pair) -> Pair:
    reference, current = pair
    if reference.dtype.kind == "f" and len(np.unique(reference)) > 20:
        edges = np.histogram_bin_edges(np.concatenate(pair), bins="sturges")
        return np.histogram(reference, edges)[0] / len(reference), np.histogram(current, edges)[0] / len(current)
    return _level_shares(pair)


def _level_shares(pair: Pair) -> Pair:
    levels, place = np.unique(np.concatenate(pair), return_inverse=True)
    cut = len(pair[0])
    was, now = (np.bincount(side, minlength=len(levels)) / len(side) for side in (place[:cut], place[cut:]))
    return was, now


def _filled(shares: np.ndarray) -> np.ndarray:
    least = shares[shares > 0].min()
    return np.where(shares == 0, least / 1e6 if least <= 0.0001 else 0.0001, shares)


def _nannyml_shares(pair: Pair) -> Pair:
    reference = pair[0]
    distinct = len(np.unique(reference))
    if reference.dtype.kind == "f" and (distinct > 50 or distinct / len(reference) > 0.1):
        edges = np.histogram_bin_edges(reference, bins="doane")
        was, now = (np.histogram(side, edges)[0] / len(side) for side in pair)
        rest = 1 - now.sum()
        return (np.append(was, 0.0), np.append(now, rest)) if rest > 0 else (was, now)
    return _level_shares(pair)
