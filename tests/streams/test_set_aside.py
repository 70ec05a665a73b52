"""Records set aside: letters with bytes, place, step and reason; each kind is told once for its place, and counted."""

from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from streams.runtime.set_aside import KINDS_MAX, SetAside
from streams.wire.block import Block
from streams.wire.dead_letters import letters
from streams.wire.refusals import Refusal


def counted(step: str, topic: str, reason: str) -> float | None:
    labels = {"step": step, "topic": topic, "reason": reason}
    return REGISTRY.get_sample_value("driftline_records_set_aside_total", labels)


def test_each_record_is_a_letter_and_each_kind_is_told_once_for_its_place():
    set_aside = SetAside("units", now_ms=lambda: 5)
    with capture_logs() as logs:
        for partition in (0, 1, 0):
            block = Block.of("counts", partition, [b"a", None, b"c"], first=40, time=7)
            refused = [Refusal(0, "undecodable", "$", "cut"), Refusal(1, "empty", "$", "no value")]
            sent = set_aside(block, [*refused, Refusal(2, "undecodable", "$", "cut")])
    lying = Block("dead-letters", 0, range(3), [9] * 3, *zip(*((m.key, m.value, m.headers) for m in sent), strict=True))
    assert [(one.source, one.stage, one.reason, one.value) for one in letters(lying)] == [
        ("counts/0/40", "units", "undecodable", b"a"),
        ("counts/0/41", "units", "empty", None),
        ("counts/0/42", "units", "undecodable", b"c"),
    ]
    told = [(line["place"], line["reason"]) for line in logs]
    assert told == [(f"counts/{p}/{o}", reason) for p in (0, 1) for o, reason in ((40, "undecodable"), (41, "empty"))]
    assert (counted("units", "counts", "undecodable"), counted("units", "counts", "empty")) == (6.0, 3.0)
    assert sorted(set_aside.notes()) == [
        (5, "1 record of counts/1 set aside as empty, the last counts/1/41: no value"),
        (5, "2 records of counts/0 set aside as empty, the last counts/0/41: no value"),
        (5, "2 records of counts/1 set aside as undecodable, the last counts/1/42: cut"),
        (5, "4 records of counts/0 set aside as undecodable, the last counts/0/42: cut"),
    ]


def test_another_model_is_another_kind():
    set_aside = SetAside("units")
    block = Block.of("observations", 0, [b"", b"", b""])
    with capture_logs() as logs:
        set_aside(block, [Refusal(at, "schema_conflict", "$", model, model) for at, model in enumerate("aba")])
    assert [line["why"] for line in logs] == ["a", "b"]


def test_several_refusals_of_one_record_keep_its_bytes_once():
    block = Block.of("feedback", 0, [b"rows"])
    sent = SetAside("units")(block, [Refusal(0, "wrong_type", f"$[{n}]", "") for n in range(3)])
    assert [letter.value for letter in sent] == [b"rows", b"", b""]


def test_what_is_remembered_has_a_bound():
    set_aside = SetAside("units")
    for partition in range(KINDS_MAX + 5):
        set_aside(Block.of("requests", partition, [b""]), [Refusal(0, "empty", "$", "")])
    assert len(set_aside.notes()) == KINDS_MAX
