"""What other libraries compute under the same names, so that a migration can be checked against the old figures.

They differ in how they cut, in what they do with an empty cell, and in logarithms; see each function. None of them
has an interval.
"""

from collections.abc import Callable

import numpy as np
from scipy import stats
from scipy.spatial.distance import jensenshannon

Pair = tuple[np.ndarray, np.ndarray]

#: NannyML keeps the reference's values below so many rows, and a histogram of so many bins from there on.
NANNYML_EXACT_ROWS = 10_000
NANNYML_BINS = 10_000


def evidently_psi(pair: Pair) -> float:
    """Evidently's ``psi``: Sturges' bins over both samples, empty shares made .0001 (or a millionth of the least)."""
    was, now = map(_filled, _evidently_shares(pair))
    return float(np.sum((was - now) * np.log(was / now)))


def evidently_js(pair: Pair) -> float:
    """Evidently's ``jensenshannon``: the same bins, natural logarithm, so at most .8326."""
    return _js(*_evidently_shares(pair))


def evidently_kl(pair: Pair) -> float:
    """Evidently's ``kl_div``: KL(reference || current), the other way round, empty shares filled."""
    return float(stats.entropy(*map(_filled, _evidently_shares(pair))))


def evidently_wasserstein(pair: Pair) -> float:
    """Evidently's ``wasserstein``: divided by the reference's standard deviation, at least .001."""
    return float(stats.wasserstein_distance(*pair) / max(float(np.std(pair[0])), 0.001))


def evidently_hellinger(pair: Pair) -> float:
    """Evidently's ``hellinger``: Sturges' bins over the distinct values of both samples."""
    if _numeric(pair):
        edges = np.histogram_bin_edges(np.unique(np.concatenate(pair)), bins="sturges")
        was, now = (np.histogram(side, edges)[0] / len(side) for side in pair)
    else:
        was, now = _level_shares(pair)
    return float(np.sqrt(1 - min(float(np.sqrt(was * now).sum()), 1.0)))


def nannyml_js(pair: Pair) -> float:
    """NannyML's ``jensen_shannon``: Doane's bins over the reference and one for the rest, base 2."""
    return _js(*_nannyml_shares(pair), base=2)


def nannyml_hellinger(pair: Pair) -> float:
    """NannyML's ``hellinger``, over the same bins as its ``jensen_shannon``."""
    was, now = _nannyml_shares(pair)
    return float(np.sqrt(np.sum((np.sqrt(was) - np.sqrt(now)) ** 2)) / np.sqrt(2))


def nannyml_ks(pair: Pair) -> float:
    """NannyML's ``kolmogorov_smirnov``: exact below 10,000 reference rows, else between 10,000 equal bins."""
    reference, current = pair
    if len(reference) < NANNYML_EXACT_ROWS:
        return float(stats.ks_2samp(*pair).statistic)
    edges = np.histogram_bin_edges(reference, NANNYML_BINS)
    was, now = (np.cumsum(np.histogram(side, edges)[0]) / len(side) for side in pair)
    return float(np.abs(was - now - np.mean(current < edges[0])).max())


def nannyml_wasserstein(pair: Pair) -> float:
    """NannyML's ``wasserstein``: exact below 10,000 reference rows, else from 10,000 equal bins.

    Beyond those bins it adds the distance to the nearest end, an end counted as one row more; and below them that one
    row shifts the whole distribution.
    """
    reference, current = pair
    if len(reference) < NANNYML_EXACT_ROWS:
        return float(stats.wasserstein_distance(*pair))
    edges = np.histogram_bin_edges(reference, NANNYML_BINS)
    was, now = (np.cumsum(np.histogram(side, edges)[0]) / len(side) for side in pair)
    below, beyond = current[current < edges[0]], current[current > edges[-1]]
    shift = (len(below) + 1) / len(current) if len(below) else 0.0
    outside = (edges[0] - below).sum() + (beyond - edges[-1]).sum()
    return float(np.abs(was - now - shift).sum() * (edges[1] - edges[0]) + outside / len(current))


def nannyml_l_infinity(pair: Pair) -> float:
    """NannyML's ``l_infinity``, of levels."""
    was, now = _level_shares(pair)
    return float(np.abs(was - now).max())


def nannyml_chi2(pair: Pair) -> float:
    """NannyML's ``chi2``, of levels: the statistic, nothing pooled; two levels with Yates' correction."""
    was, now = (shares * len(side) for shares, side in zip(_level_shares(pair), pair, strict=True))
    return float(stats.chi2_contingency(np.stack([was, now])).statistic)


PEERS: dict[str, Callable[[Pair], float]] = {
    "evidently.psi": evidently_psi,
    "evidently.js": evidently_js,
    "evidently.kl": evidently_kl,
    "evidently.wasserstein": evidently_wasserstein,
    "evidently.hellinger": evidently_hellinger,
    "nannyml.js": nannyml_js,
    "nannyml.hellinger": nannyml_hellinger,
    "nannyml.ks": nannyml_ks,
    "nannyml.wasserstein": nannyml_wasserstein,
    "nannyml.l_infinity": nannyml_l_infinity,
    "nannyml.chi2": nannyml_chi2,
}


#: Those that compare numbers only.
OF_NUMBERS = frozenset({"evidently.wasserstein", "nannyml.ks", "nannyml.wasserstein"})


def _js(was: np.ndarray, now: np.ndarray, base: float | None = None) -> float:
    with np.errstate(invalid="ignore"):
        distance = float(jensenshannon(was, now, base))
    return 0.0 if np.isnan(distance) else distance  # Theirs is NaN where equal shares round to less than 0.


def _numeric(pair: Pair) -> bool:
    return all(side.dtype.kind == "f" for side in pair)


def _evidently_shares(pair: Pair) -> Pair:
    reference, current = pair
    if _numeric(pair) and len(np.unique(reference)) > 20:
        edges = np.histogram_bin_edges(np.concatenate(pair), bins="sturges")
        return np.histogram(reference, edges)[0] / len(reference), np.histogram(current, edges)[0] / len(current)
    return _level_shares(pair)


def _level_shares(pair: Pair) -> Pair:
    levels, level_index = np.unique(np.concatenate(pair), return_inverse=True)
    cut = len(pair[0])
    was, now = (np.bincount(side, minlength=len(levels)) / len(side) for side in (level_index[:cut], level_index[cut:]))
    return was, now


def _filled(shares: np.ndarray) -> np.ndarray:
    least = shares[shares > 0].min()
    return np.where(shares == 0, least / 1e6 if least <= 0.0001 else 0.0001, shares)


def _nannyml_shares(pair: Pair) -> Pair:
    if not _numeric(pair):
        return _level_shares(pair)
    edges = np.histogram_bin_edges(pair[0], bins="doane")
    was, now = (np.histogram(side, edges)[0] / len(side) for side in pair)
    rest = 1 - now.sum()
    return (np.append(was, 0.0), np.append(now, rest)) if rest > 0 else (was, now)
