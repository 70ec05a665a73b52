"""Bounds of event times; alone in a file, for who reads one time needs no Arrow."""

#: An integer time below this is 1973 in milliseconds and this century in seconds: a client that sends seconds.
FIRST_MS = 100_000_000_000
#: Event times lie before this, ms: the end of 2099. The store ends in 2299; no clock that is right says more.
END_MS = 4_102_444_800_000
#: Least and largest instant that ClickHouse keeps, in ms: 1900 to 2299. A backtest may hold those, no request may.
KEPT_MS = (-2_208_988_800_000, 10_413_791_999_999)
