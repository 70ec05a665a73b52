"""Which records the model has in hand, on disk: so a process knows over what its predecessor ended.

What a model calls may end the process without an exception: an index outside of its tensor, an exit of a library,
memory that the kernel takes back. Its records would come again to the next process, and end it too, for ever and for
every model that it serves. So the next one takes the records that were in hand in smaller parts, and what has ended
three processes while it was alone in hand is at fault.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from inference.backends import Fatal
from inference.scoring.facts import HandLeft, HandNotKept
from streams.private import FILE_MODE, private_folder

#: Processes that a record may end while it is alone in hand. They may have been killed by somebody else, once or twice.
ENDS_MAX = 3
#: Parts that records are split into after an end; up to so many are taken one by one.
PARTS = 16
_BYTES_MAX = 4_194_304
_KEPT_MAX = 1_000

#: Topic, partition, first and last offset of some records, and Kafka's time of the first: a topic may be made anew.
Range = tuple[str, int, int, int, int]


class _Hand(msgspec.Struct):
    model: str
    version: str
    ranges: list[Range]


class _Written(msgspec.Struct):
    hand: _Hand | None = None
    ends: dict[str, int] = {}


class InHand:
    """Remembers what a model has in hand.

    Parameters
    ----------
    file
        Where; one a slot. Without one nothing is remembered.
    forget_after
        How often what is in hand has to pass in a row until the ends over it are forgotten.
    """

    def __init__(self, file: Path | None = None, forget_after: int = 1) -> None:
        self._file = -1
        self._forget_after, self._passed = forget_after, 0
        self._suspect: _Hand | None = None
        self._ends: dict[str, int] = {}
        if file is None:
            return
        try:
            private_folder(file.parent)
            self._file = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
            written = msgspec.json.decode(os.pread(self._file, _BYTES_MAX, 0) or b"{}", type=_Written)
        except OSError as error:
            HandNotKept(str(file), error.strerror or str(error)).tell()
            return
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return  # cut short by a full disk: nothing is known
        self._suspect, self._ends = written.hand, written.ends
        if (hand := written.hand) is None:
            return
        record = _alone(hand)
        if record is not None:
            self._ends[record] = self._ends.get(record, 0) + 1
        HandLeft(hand.model, hand.version, len(hand.ranges), self._ends.get(record or "", 0)).tell()
        self._write(None)

    def suspects(self, model: str, version: str) -> bool:
        """Whether a predecessor ended while this version had something in hand."""
        if self._suspect is not None and (self._suspect.model, self._suspect.version) == (model, version):
            return True
        return bool(self._ends) and any(key.startswith(f"{model}/{version} ") for key in self._ends)

    def suspect(self, topic: str, partition: int, offset: int) -> bool:
        """Whether a record was among what a predecessor had in hand when it ended.

        Parameters
        ----------
        topic, partition, offset
            Of the record; the topic by its logical name.
        """
        ranges = self._suspect.ranges if self._suspect else ()
        return any((topic, partition) == (r[0], r[1]) and r[2] <= offset <= r[3] for r in ranges)

    def ends(self, model: str, version: str, record: str, time: int) -> int:
        """How many processes have ended while this version had one record alone in hand.

        Parameters
        ----------
        model, version
            Who had it in hand.
        record
            Its place, ``topic/partition/offset``.
        time
            Kafka's timestamp of it, ms: a topic that was made anew has other records in the same places.
        """
        return self._ends.get(_key(model, version, record, time), 0)

    def forget_before(self, topic: str, partition: int, before: int) -> None:
        """Forget the records of a partition before an offset: they come no more.

        Parameters
        ----------
        topic, partition
            Whose records; the topic by its logical name.
        before
            The first offset that may still come.
        """
        for key in [key for key in self._ends if f" {topic}/{partition}/" in key]:
            if int(key.rpartition("@")[0].rpartition("/")[2]) < before:
                del self._ends[key]

    @contextmanager
    def holding(self, model: str, version: str, ranges: Iterable[Range]) -> Iterator[None]:
        """Have records in hand; no exception is an end but `Fatal`, after which only a new process goes on.

        Parameters
        ----------
        model, version
            Who has them in hand.
        ranges
            Of the records.
        """
        if self._file < 0:
            yield
            return
        hand = _Hand(model, version, list(ranges))
        self._write(hand)
        try:
            yield
        except Fatal:
            raise  # it stays written: the next process must know over what this one ended
        except BaseException:
            self._forget(hand)
            raise
        self._forget(hand)

    def _forget(self, hand: _Hand) -> None:
        if self._ends and (record := _alone(hand)) is not None:
            self._passed += 1
            if self._passed >= self._forget_after:
                self._ends.pop(record, None)
        self._write(None)

    def let_go(self) -> None:
        """This process is told to end: that is no end over what is in hand."""
        if self._file >= 0:
            self._write(None)

    def _write(self, hand: _Hand | None) -> None:
        while len(self._ends) > _KEPT_MAX:
            del self._ends[next(iter(self._ends))]
        # No fsync: it is read after the end of a process, not of the machine. A disk that is full is no reason to stop.
        with suppress(OSError):
            os.ftruncate(self._file, 0)
            if hand or self._ends:
                os.pwrite(self._file, msgspec.json.encode(_Written(hand, self._ends)), 0)


def _alone(hand: _Hand) -> str | None:
    """Whose record it is that was alone in hand; None where there were several."""
    if len(hand.ranges) != 1 or hand.ranges[0][2] != hand.ranges[0][3]:
        return None
    topic, partition, offset, _, time = hand.ranges[0]
    return _key(hand.model, hand.version, f"{topic}/{partition}/{offset}", time)


def _key(model: str, version: str, record: str, time: int) -> str:
    return f"{model}/{version} {record}@{time}"
