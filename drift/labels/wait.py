"""How long a window waits for its labels: as long as it was told to, or as long as labels really take.

A model whose labels come a day late, watched by somebody who left the wait at an hour, would never be judged: every
window's time would be up before its first label. So the delays of the labels that came are counted, and where more than
half of them come after the wait, windows wait until more than half have come.
"""

import msgspec
import numpy as np

from drift.performance.label_delay import BUCKETS_A_DOUBLING, LABELS_MIN, buckets
from streams.wire.records import Watch

#: Windows that are kept because they wait for labels, at the most: the wait that is learnt ends there.
WAIT_WINDOWS_MAX = 5_000
#: Counts are halved when they reach this many, so that what is learnt follows a change.
LABELS_MAX = 100_000


class LabelDelays(msgspec.Struct):
    """Labels by the delay with which they came after the end of their window: integers, so that any order adds up.

    Parameters
    ----------
    counts
        Labels by the `buckets` of their delay: up to a second, then two for each doubling.
    late
        Those of them that came after the wait that was set.

    >>> delays, watch = LabelDelays(), Watch(label_wait_ms_max=3_600_000, window_ms=3_600_000)
    >>> delays.add(24 * 3_600_000, 500, watch)
    >>> round(delays.wait_ms(watch) / 3_600_000, 1)
    25.7
    """

    counts: dict[int, int] = {}
    late: int = 0

    def add(self, delay_ms: int, labels: int, watch: Watch) -> None:
        """Count labels that came so long after the end of their window; before its end counts as no delay.

        Parameters
        ----------
        delay_ms
            How long after the end of their window they came.
        labels
            How many.
        watch
            Whose wait they are held against.
        """
        bucket = int(buckets(np.array([max(0, delay_ms)]))[0])
        self.counts[bucket] = self.counts.get(bucket, 0) + labels
        self.late += labels if delay_ms > watch.label_wait_ms_max else 0
        if sum(self.counts.values()) >= LABELS_MAX:
            self.counts = {key: (many + 1) // 2 for key, many in self.counts.items()}
            self.late //= 2

    def wait_ms(self, watch: Watch) -> int:
        """How long after its end a window waits for its labels, in event time: at least as long as was set."""
        total, seen = sum(self.counts.values()), 0
        if total < LABELS_MIN or 2 * self.late <= total:
            return watch.label_wait_ms_max
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if 2 * seen > total:
                break
        most = max(watch.label_wait_ms_max, WAIT_WINDOWS_MAX * watch.window_ms)
        return min(most, max(watch.label_wait_ms_max, _end_ms(bucket)))


def _end_ms(bucket: int) -> int:
    """End of a bucket of delays."""
    return 1000 if bucket == 0 else int(np.ceil(2.0 ** (bucket / BUCKETS_A_DOUBLING) * 1000))
