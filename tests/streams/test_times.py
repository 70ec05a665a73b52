"""Columns of event times, in whatever unit they came."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from streams.wire.times import TimesError, epoch_ms

MS = 1_700_000_000_000 + 1_000 * np.arange(50)
EXACT = pa.array(MS, pa.timestamp("ms"))


@pytest.mark.parametrize(
    "column",
    [
        pa.array(MS),
        pa.array(MS // 1000),
        pa.array((MS // 1000).astype(float)),
        pa.array(MS * 1000),
        pa.array(MS * 10**6),
        pa.array(MS.astype(float)),
        pa.array((MS // 1000).astype(np.uint32)),
        pa.array([str(ms) for ms in MS]),
        EXACT,
        EXACT.cast(pa.timestamp("ns")),
        EXACT.cast(pa.timestamp("s")),
        pa.chunked_array([EXACT[:7], EXACT[7:]]),
        EXACT.dictionary_encode(),
        pa.array(pd.to_datetime(MS, unit="ms").tz_localize("UTC").tz_convert("Europe/Rome")),
        pa.array([f"{at.isoformat()}Z" for at in pd.to_datetime(MS, unit="ms")]),
        pa.array([str(at) for at in pd.to_datetime(MS, unit="ms")]),
        pa.array([at.isoformat() for at in pd.to_datetime(MS, unit="ms").tz_localize("UTC").tz_convert("Asia/Tokyo")]),
        pa.array(MS // 1000).cast(pa.decimal128(20, 0)),
    ],
    ids=str,
)
def test_a_time_is_read_in_its_own_unit(column: pa.Array) -> None:
    assert epoch_ms(column).tolist() == MS.tolist()


def test_fractions_of_a_second_stay() -> None:
    assert epoch_ms(pa.array([1_700_000_000.123, 1_700_000_000.5])).tolist() == [1_700_000_000_123, 1_700_000_000_500]


def test_a_date_is_its_midnight() -> None:
    days = pa.array([19_675], pa.int32()).cast(pa.date32())
    assert epoch_ms(days).tolist() == epoch_ms(pa.array(["2023-11-14"])).tolist() == [19_675 * 86_400_000]


def test_no_rows() -> None:
    for kind in (pa.int64(), pa.string(), pa.timestamp("us"), pa.float64()):
        assert epoch_ms(pa.array([], kind)).tolist() == []


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (["01/09/2018 07:30", "12/09/2018 07:30"], "'01/09/2018 07:30'.*dayfirst="),
        (["2018-09-01", "soon"], "'soon'"),
        ([20180901, 20180902], "digits of a date.*%Y%m%d"),
        ([201809010730], "digits of a date.*%Y%m%d%H%M"),
        ([20180901073000, 20180901073100], "digits of a date"),
        (["20180901"], "digits of a date"),
        ([1_700_000_000, 1_700_000_000_000], "neither seconds"),
        ([17, 18], "17 to 18 is neither"),
        ([-1], "neither"),
        ([1.7e9, None], "row 1"),
        ([True], "bool"),
        ([float("inf")], "infinite"),
    ],
)
def test_what_is_no_time_is_refused_with_the_remedy(column: list[object], words: str) -> None:
    with pytest.raises(TimesError, match=f"'when' .*{words}"):
        epoch_ms(pa.array(column), "when")
