"""A stretch of the past, run again through the same stages and compared with what was served.

Whatever depended on the clock when it happened is a record (which version answered, that a partition fell silent, which
prediction a label met, which settings held), so the past can be run again to the byte. A chapter in the order of the
work:

1. The **recording** (`recording`) is read: a stretch of `requests` between Kafka times or offsets
   (`streams.kafka.stretch`), up to what the worker has committed; the observations of that stretch, which say what was
   **served** (`served`); routes, outcomes, and what the judge read and wrote (`judge_log`). The stretch is widened to
   whole live blocks; predictions are compared within the stretch as it was named. All after this is pure (`rerun`):
   given a recording made by hand, it needs no broker.
2. The requests are **scored** again, block by block as they were (`rescore`). The route of each block is the epoch of
   `models` that explains which versions its observations name (`routes_then`): or, under another model, that one
   answers everything. The predictions are compared with those on the topic, byte by byte (`compare_predictions`).
3. The new observations are **counted** again (`recount`), and the recorded `counts` are judged again (`rejudge`). The
   judge takes its state from the newest snapshot before the stretch and the recorded counts after that; its input's
   order is the record of what was known when. As it was served, the recorded counts themselves are judged: reports,
   alerts and orders are then the live ones byte for byte, and the recount must give the same sums a minute. Fields of
   reports that only one side has, because another version of Driftline wrote it, are named and not compared
   (`report_fields`).
   With another model or other settings, the recount stands in for the recorded counts at their places, as if the
   change had been announced where the stretch begins; idle flags stay, and label sums are made anew from `outcomes`
   (`relabel`).
4. Where labels are known, the two sets of answers are **scored against them** (`paired_metrics`), row by row.

The result is one `Replay`: small, and as JSON the same. `text` writes it for a terminal, `html` as a page.
"""

from driftline.replay.overrides import Change, ReplayError
from driftline.replay.result import Replay
from driftline.replay.run import replay

__all__ = ["Change", "Replay", "ReplayError", "replay"]
