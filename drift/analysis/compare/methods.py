"""`drift.compare`: one call, any method."""

from difflib import get_close_matches
from typing import Any

import msgspec
import numpy as np

from drift.analysis.compare import peers, samples, tables, values
from drift.analysis.compare.mmd import mmd
from drift.analysis.compare.result import Comparison
from drift.cells.columns import ColumnError, levels
from drift.reference.reference import Reference

#: Methods by what they look at.
RANKED = {
    "ks": samples.ks,
    "cramer_von_mises": samples.cramer_von_mises,
    "anderson_darling": samples.anderson_darling,
    "mann_whitney": samples.mann_whitney,
}
MEASURED = {"welch_t": samples.welch_t, "wasserstein": samples.wasserstein, "energy": samples.energy}
TWO_LEVELS = {"fisher": tables.fisher, "two_proportions": tables.two_proportions}
TABLES = ("chi2", "g_test")

#: Every method that `compare` knows.
METHODS = (*RANKED, *MEASURED, *TABLES, *TWO_LEVELS, *tables.DISTANCES, "mmd", *peers.PEERS)


def compare(
    reference: Any, current: Any, method: str = "ks", *, edges: Any = None, column: str | None = None, **options: Any
) -> Comparison:
    """Compare two columns.

    ====================================================  =====================================================
    methods                                               look at
    ====================================================  =====================================================
    ks, cramer_von_mises, anderson_darling, mann_whitney  ranks of the values; null is set aside
    welch_t, wasserstein, energy                          sizes of the values; null and infinite are set aside
    chi2, g_test, psi, js, kl, hellinger, tvd,            counts over cells; null is a cell
    l_infinity, cramers_v
    fisher, two_proportions                               counts of two levels; null is set aside
    mmd                                                   vectors, [rows, dimensions]
    evidently.psi, nannyml.js, ...                        what that library computes (`drift.analysis.compare.peers`)
    ====================================================  =====================================================

    JS is the base-2 distance in [0, 1]; KL is KL(current || reference) in nats; PSI has half a count in every cell.

    Parameters
    ----------
    reference, current
        Values: pandas Series, NumPy or Arrow array, list. ``reference`` may be a `Reference` with ``column`` named, for
        methods over cells: its frozen cells and what it expects in them are used.
    edges
        Inner edges of the cells for methods over cells; by default those that a reference would freeze.
    options
        Of the method: ``exact`` (ks, cramer_von_mises, mann_whitney), ``smoothing`` (psi, kl), ``base`` (js),
        ``expected_min`` (chi2, g_test), ``bandwidth``, ``permutations`` (mmd), ``seed`` where there is chance.

    Raises
    ------
    ValueError
        An unknown method, no values, or values that the method cannot take.

    >>> found = compare([1.0, 2.0, 3.0, 4.0], [3.0, 4.0, 5.0, 6.0], "ks")
    >>> found.statistic, round(found.p_value, 3)
    (0.5, 0.771)
    >>> round(compare(["a"] * 50 + ["b"] * 50, ["a"] * 90 + ["b"] * 10, "psi").statistic, 3)
    0.853
    """
    if method not in METHODS:
        near = get_close_matches(method, METHODS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(METHODS)}"
        raise ValueError(f"unknown method {method!r}; {hint}")
    if method != "mmd" and max(len(getattr(side, "shape", ())) for side in (reference, current)) > 1:
        raise ColumnError("compare takes two columns, got a table; name one of its columns, or see drift.backtest")
    if method in RANKED or method in MEASURED:
        return _by_values(reference, current, method, options)
    if method == "mmd":
        return _by_vectors(reference, current, options)
    if method in peers.PEERS:
        return _by_peer(reference, current, method)
    return _by_counts(_cell_counts(reference, current, method, edges, column), method, options)


def _by_values(reference: Any, current: Any, method: str, options: dict[str, Any]) -> Comparison:
    ranked = method in RANKED
    (was, was_note), (now, now_note) = (values.numbers(side, infinite=ranked) for side in (reference, current))
    _refuse_empty(len(was), len(now))
    if not ranked:
        values.refuse_huge(method, was, now)
    comparison = (RANKED if ranked else MEASURED)[method]((was, now), **options)
    notes = [f"{side}: {note}" for side, note in (("reference", was_note), ("current", now_note)) if note]
    return msgspec.structs.replace(comparison, note="; ".join([comparison.note] * bool(comparison.note) + notes))


def _by_vectors(reference: Any, current: Any, options: dict[str, Any]) -> Comparison:
    (was, was_note), (now, now_note) = (values.vectors(side) for side in (reference, current))
    _refuse_empty(len(was), len(now))
    if was.shape[1] != now.shape[1]:
        raise ColumnError(f"mmd compares vectors of one length, got {was.shape[1]} and {now.shape[1]} dimensions")
    values.refuse_huge("mmd", was, now)
    comparison = mmd(was, now, **options)
    notes = [f"{side}: {note}" for side, note in (("reference", was_note), ("current", now_note)) if note]
    return msgspec.structs.replace(comparison, note="; ".join([comparison.note, *notes]))


def _by_peer(reference: Any, current: Any, method: str) -> Comparison:
    if values.is_numeric(reference) and values.is_numeric(current):
        was, now = (values.numbers(side, infinite=False)[0] for side in (reference, current))
    elif method in peers.OF_NUMBERS:
        raise ColumnError(f"{method} compares numbers, got levels; choose {method.partition('.')[0]}.js")
    else:
        was, now = (np.array([text for text in _texts(side) if text is not None]) for side in (reference, current))
    _refuse_empty(len(was), len(now))
    if was.dtype.kind == now.dtype.kind == "f":
        values.refuse_huge(method, was, now)
    value = peers.PEERS[method]((was, now))
    return Comparison(method=method, statistic=value, effect=value, n_reference=len(was), n_current=len(now))


def _by_counts(pair: tuple[np.ndarray, np.ndarray], method: str, options: dict[str, Any]) -> Comparison:
    _refuse_empty(int(pair[0].sum()), int(pair[1].sum()))
    if method in TWO_LEVELS:
        return TWO_LEVELS[method](pair, **options)
    return (tables.homogeneity if method in TABLES else tables.distance)(method, pair, **options)


def _cell_counts(
    reference: Any, current: Any, method: str, edges: Any, column: str | None
) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(reference, Reference):
        if column is None:
            raise ValueError("name the column of the reference: compare(reference, values, method, column='age')")
        cells = reference.columns[reference.place(column)]
        was, now = reference.of(column, reference.expected), np.bincount(cells.index(current), minlength=cells.size)
        seen = (was + now) > 0
        return was[seen], now[seen]
    if method in TWO_LEVELS:
        return values.two_levels(reference, current)
    return values.counts(reference, current, edges)


def _texts(side: Any) -> list[str | None]:
    codes, texts = levels(side)
    return [[*texts, None][code] for code in codes]


def _refuse_empty(was: int, now: int) -> None:
    if not was or not now:
        raise ValueError(f"nothing to compare: {was} values in the reference, {now} in the current column")
