"""Evidence: is this still the stream that the model was trained on?

The user says how many windows may pass, on average, before a false incident; that one budget covers all columns, all
windows, for ever. A chapter in the order of the computation:

1. `surprise` (`z_scores`) compares a window with its pool, contrast by contrast (`contrasts`): one standard normal
   number each. Indicators use the exact hypergeometric law (`hypergeometric`), scores the signed-root saddle point
   (`saddlepoint`). The reference is a sample, not the truth, and both know it.
2. `mixture` bets on a shift over a stretch of windows: an e-value, at most 1 on average while nothing changes.
3. `Detector` (`detector`) keeps a bet running from (nearly) every window on, and adds them up: the sum stays below
   ``c`` for ``c`` windows on average. It also says since when, and lets a column that has changed begin anew.
4. `budget` shares the budget over the columns and says which of them an alarm is about.
5. `Risk` (`loss_detector`) bets in the same way on a larger mean loss, once labels have come
   (`drift.performance.losses`).

Rows that hang together are allowed for by design effects (`drift.evidence.design_effects`); those are estimated, so
with them the promise is approximate.
"""

from drift.evidence.budget import alarming, named, performance_share, shares
from drift.evidence.detector import ChangePoint, Detector, Look
from drift.evidence.loss_detector import Risk
from drift.evidence.z_scores import surprise

__all__ = ["ChangePoint", "Detector", "Look", "Risk", "alarming", "named", "performance_share", "shares", "surprise"]
