"""A bench on the user's own rows: which detector is to be trusted with them, and how soon would it see what matters?

A chapter in the order of the computation:

1. `Population` takes the rows for the whole world: references and streams are drawn from it with replacement, in
   blocks where rows hang together. A stream without drift is so exchangeable with its reference.
2. `shifts` are what is done to one column: it moves, spreads, changes its levels or empties, at once or by and by.
3. `contestants` watch the same windows: our own evidence (`ours`), and `peers`: KS with Bonferroni, PSI, ADWIN and
   Page-Hinkley, all told of the same budget of false alarms. What takes no budget is calibrated on streams without
   drift that are no part of the comparison.
4. `Race` runs all of it from one seed; `Bench` is what came out, `page` draws it.
"""

from drift.analysis.bench.population import Population
from drift.analysis.bench.race import Race
from drift.analysis.bench.result import Bench, Plan
from drift.analysis.bench.shifts import ShiftError

__all__ = ["Bench", "Plan", "Population", "Race", "ShiftError"]
