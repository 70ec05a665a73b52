"""Comparing two columns by hand: every test and distance under one name, for notebooks and for migration.

`compare` is `drift.compare`. Its answer keeps four things apart that are easily mixed up: the **statistic** as its
inventor defined it, the **p-value** (is it chance?), the **effect** (how large, with what chance makes of it taken
off) and the effect's 95 % **interval**. With many rows every p-value is 0, so read the effect.

Tests come from SciPy. `samples` holds those that look at the values themselves, `tables` those that look at counts
over cells, `mmd` the one for vectors, and `peers` what other libraries compute under the same names.
"""

from drift.analysis.compare.methods import METHODS, compare
from drift.analysis.compare.result import Comparison

__all__ = ["METHODS", "Comparison", "compare"]
