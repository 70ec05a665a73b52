"""Statistics: how far apart two vectors of counts are.

Every function here takes a reference's counts and a window's counts over the same cells, and gives one number. They
are sizes, in units that do not grow with the number of rows; none of them is a decision. What chance alone would
make of them (their bias) is beside them, and `effect` takes it off and adds a 95 % interval. Those that reports, the
store and backtests have of every column are rows of `column_table`, computed for all columns of a window at once
(`drift.reference.column_statistics`); the others are for who asks for them (`drift.compare`).

============================  ===============================  =======================================
size                          range                            reads as
============================  ===============================  =======================================
`ks`                          0 to 1                           largest gap between distribution functions
`wasserstein`                 0 up, the column's unit          mean distance that mass has moved
`tvd`                         0 to 1                           share of rows that changed cell
`l_infinity`                  0 to 1                           largest change of one cell's share
`psi`                         0 up                             the industry's index; read its bias first
`js`                          0 to 1 (base 2)                  information that tells the two apart
`kl`                          0 up, nats                       information lost by believing the reference
`hellinger`                   0 to 1                           distance of root shares
`cramers_v`                   0 to 1                           association of cell with side
============================  ===============================  =======================================
"""

from drift.statistics.chi2 import cramers_v
from drift.statistics.divergences import psi, psi_bias
from drift.statistics.effect import Effect, effect
from drift.statistics.hellinger import hellinger
from drift.statistics.js import js
from drift.statistics.kl import kl
from drift.statistics.ks import ks
from drift.statistics.tvd import l_infinity, tvd
from drift.statistics.wasserstein import wasserstein

__all__ = [
    "Effect",
    "cramers_v",
    "effect",
    "hellinger",
    "js",
    "kl",
    "ks",
    "l_infinity",
    "psi",
    "psi_bias",
    "tvd",
    "wasserstein",
]
