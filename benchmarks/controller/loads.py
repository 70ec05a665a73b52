"""Three shapes of load, as times at which records come; each by a mean rate, a target and a seed."""

from collections.abc import Callable

import numpy as np

SECONDS = 60
_BASE, _EVERY_MS, _WITHIN_MS, _OF_TARGET = 0.2, 2_500.0, 50.0, 0.4
_RAMP = (0.1, 0.95)

#: Capacity in rows a ms, target in ms, generator: when records come, ms.
Load = Callable[[float, float, np.random.Generator], np.ndarray]


def steady(capacity: float, target_ms: float, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG001
    """Half of capacity, Poisson."""
    return _poisson(0.5 * capacity, rng)


def bursts(capacity: float, target_ms: float, rng: np.random.Generator) -> np.ndarray:
    """A fifth of capacity, and every 2.5 s, within 50 ms, what takes 0.4 of the target to answer at capacity."""
    at_once = int(_OF_TARGET * target_ms * capacity)
    begins = np.arange(_EVERY_MS / 2, SECONDS * 1000, _EVERY_MS)
    burst = (begins[:, None] + rng.uniform(0, _WITHIN_MS, (len(begins), at_once))).ravel()
    return np.sort(np.concatenate([_poisson(_BASE * capacity, rng), burst]))


def ramp(capacity: float, target_ms: float, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG001
    """From a tenth of capacity to 95 % of it, evenly."""
    low, high = _RAMP
    candidates = _poisson(high * capacity, rng)
    wanted = (low + (high - low) * candidates / (SECONDS * 1000)) / high
    return candidates[rng.random(len(candidates)) < wanted]


LOADS: dict[str, Load] = {"steady": steady, "bursts": bursts, "ramp": ramp}


def _poisson(rows_per_ms: float, rng: np.random.Generator) -> np.ndarray:
    times = np.cumsum(rng.exponential(1 / rows_per_ms, int(1.1 * rows_per_ms * SECONDS * 1000) + 100))
    return times[times < SECONDS * 1000]
