"""Formats: what a request may look like besides JSON, and which of them a record is in.

=========  ===========================================================  ===============  ===========================
format     what a message is                                            known by         an absent id is
=========  ===========================================================  ===============  ===========================
`json`     one request (`streams.formats.json`)                         nothing below    topic/partition/offset
`avro`     one request: byte 0, schema id, Avro record                  the byte 0       topic/partition/offset
`msgpack`  one request: a MessagePack map                               a map's byte     topic/partition/offset
`arrow`    many requests: an IPC stream or file, columns by name        Arrow's magic    topic/partition/offset/row
`packed`   one request or several: rows of little-endian float32        the setting,     the same, the row only where
                                                                        or a header      there are several
=========  ===========================================================  ===============  ===========================

The setting ``score.format`` fixes one of them; ``auto`` looks at each record: first at its header ``content-type``,
then at its first bytes, which no two of them share but for `packed`. Whatever the format, a record ends in rows or
refusals by the same rules: names, types, required fields, times and ids as in JSON; NaN is a missing value.

One bad row of a message of many harms no other: it is refused with its number, ``$[17].age``.

A format is a row of `table` and a file: a `records.RecordReader` where a message is one plain object (`avro`, with
`schema_registry`; `messagepack`), which watched topics may then be in as well (`untyped`); else a decoder of its own
(`json` with its fast path `json_fast_path`, and `packed` and `arrow`, which share `row_batch`). Read `decoder` first,
then `envelope` (id, time, model) and `request_types` (fields and types).
"""
