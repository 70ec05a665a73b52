"""The time machine: a stretch of the past, run again through the same stages, and held against what was served.

Whatever depended on the clock when it happened is a record (which version answered, that a partition fell silent, which
prediction a label met, which settings held), so the past can be run again to the byte. A chapter in the order of the
work:

1. A **stretch** of `requests` is cut out by Kafka times or offsets (`streams.kafka.stretch`), up to what the worker has
   settled. The `observations` of that stretch say what was **served** (`served`): each carries its requests' offsets.
   The stretch is widened to whole blocks of them; predictions are compared within the stretch as asked.
2. The requests are **scored** again, block by block as they were (`scoring`). The route of each block is the epoch of
   `models` that explains which versions its observations name (`decisions`): or, asked for another model, that one
   answers everything. The predictions are compared with those on the topic, byte by byte.
3. The new observations are **counted** again, and the recorded `counts` are judged again (`counting`, `judging`). The
   judge takes its state from the newest snapshot before the stretch and the recorded counts after that; its input's
   order is the record of what was known when. As it was served, the recorded counts themselves are judged: reports,
   alerts and orders are then the live ones byte for byte, and the recount must give the same sums a minute.
   With another model or other settings, the recount stands in for the recorded counts at their places, as if the
   change had been announced where the stretch begins; idle flags stay, and label sums are made anew from `outcomes`.
4. Where labels are known, the two sets of answers are **scored against them** (`quality`), row by row.

The result is one `Replay`: small, and as JSON the same. `words` says it aloud, `page` writes it as HTML.
"""

from driftline.replay.overrides import Change, ReplayError
from driftline.replay.result import Replay
from driftline.replay.run import replay

__all__ = ["Change", "Replay", "ReplayError", "replay"]
