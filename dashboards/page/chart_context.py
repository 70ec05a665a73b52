"""What the charts of one page share."""

from collections.abc import Callable
from datetime import tzinfo

import msgspec
import pandas as pd


class Mark(msgspec.Struct, frozen=True):
    """An incident on a chart: what it names, since when, until when (None while open)."""

    incident: str
    columns: tuple[str, ...]
    start: pd.Timestamp
    end: pd.Timestamp | None
    severity: str


class ChartContext(msgspec.Struct, frozen=True):
    """What charts of one page share: zone, range and drawing interval, the incidents, and where columns lead.

    ``years`` says that dates need their year: the range is not all of this one.
    """

    zone: tzinfo
    start: pd.Timestamp
    end: pd.Timestamp
    step: pd.Timedelta
    marks: tuple[Mark, ...] = ()
    link: Callable[[str], str] = str
    years: bool = False

    def local(self, times: "pd.Series[pd.Timestamp]") -> "pd.Series[pd.Timestamp]":
        """Instants as the wall clock of the reader's zone."""
        return pd.to_datetime(times, utc=True).dt.tz_convert(self.zone).dt.tz_localize(None)

    def moment(self, time: pd.Timestamp) -> pd.Timestamp:
        """One instant as the reader's wall clock."""
        return time.tz_convert(self.zone).tz_localize(None)
