"""The last moment that an event time may lie before; alone in a file, for who reads one time needs no Arrow."""

#: Event times lie before this, ms: the end of 2099. The store ends in 2299; no clock that is right says more.
END_MS = 4_102_444_800_000
