"""The dead letters' commands over a real broker."""

import pytest
from typer.testing import CliRunner

from driftline.cli import app
from driftline.commands.dead_letters import LetterError, find, full, listing, table
from streams.kafka.admin import Layout, create
from streams.kafka.cluster import Cluster
from streams.redrive import Filter, Found, redrive
from streams.runtime.transactions import TransactionalProducer
from streams.wire.block import Block
from streams.wire.dead_letters import dead_letter
from streams.wire.refusals import Refusal

pytestmark = pytest.mark.system  # minutes: `make test-all`

RECORDS = [b'{"age": "n/a"}', b"age\xff=41", b'{"age": "?"}', b"x" * 1_000_000]
REASONS = ["wrong_type", "undecodable", "wrong_type", "oversize"]


@pytest.fixture
def cluster(kafka: str, topic_prefix: str) -> Cluster:
    cluster = Cluster(bootstrap=kafka, prefix=topic_prefix)
    create(cluster, Layout(requests=2))
    block = Block.of("requests", 1, RECORDS, first=1041)
    producer = TransactionalProducer(cluster, "refuser")
    refusals = [Refusal(at, reason, "$.age", "why") for at, reason in enumerate(REASONS)]
    producer.commit([], [dead_letter(block, refusal, "score") for refusal in refusals], None)
    producer.close()
    return cluster


def test_a_listing_counts_by_reason_and_keeps_the_newest(cluster):
    redrive(cluster, Filter(start="0:2", reason="wrong_type"), 0)
    found = listing(Found(cluster, Filter(), 0), limit=2)
    assert [(g.reason, g.letters, g.again) for g in found.groups] == [
        ("wrong_type", 2, 1),
        ("undecodable", 1, 0),
        ("oversize", 1, 0),
    ]
    assert [(one.source, one.again) for one in found.letters] == [("requests/1/1043", True), ("requests/1/1044", False)]
    said = "\n".join(table(found))
    assert "dead-letters/0/3" in said and "redrive --reason wrong_type" in said


def test_what_was_sent_again_is_proposed_no_more(cluster):
    def said():
        return "\n".join(table(listing(Found(cluster, Filter(), 0), limit=20)))

    # Two of wrong_type lie there, one undecodable, and one oversize of which only the beginning was kept.
    assert said().endswith("redrive --reason wrong_type`")
    redrive(cluster, Filter(reason="wrong_type"), 0)
    assert said().endswith("redrive --reason undecodable`") and "show dead-letters/0/3`" in said()
    redrive(cluster, Filter(), 0)
    assert "redrive" not in said() and "show dead-letters/0/3`; none of those that are left can be sent" in said()
    only = "\n".join(table(listing(Found(cluster, Filter(reason="wrong_type"), 0), limit=20)))
    assert only.endswith("all of them were sent again: nothing is left to do")


@pytest.mark.parametrize("place", ["dead-letters/0/1", "0/1", "requests/1/1042"])
def test_a_letter_is_found_by_its_place_and_by_its_records(cluster, place):
    for spelled in (place, cluster.prefix + place if place.count("/") == 2 else place):
        letter, again = find(cluster, spelled, 0)
        assert (letter.place, again) == ("dead-letters/0/1", False)
        said = "\n".join(full(letter, again))
        assert "no JSON" in said and "61 67 65 ff" in said


@pytest.mark.parametrize("place", ["0/99", "7/0", "requests/1/1", "requests", "a/b/c/0/1", "0/x"])
def test_a_place_without_a_letter_is_refused(cluster, place):
    with pytest.raises(LetterError, match=r"no dead letter at|is no place"):
        find(cluster, place, 0)


def test_what_strangers_wrote_ends_no_line_and_speaks_to_no_terminal(kafka, topic_prefix):
    cluster = Cluster(bootstrap=kafka, prefix=f"{topic_prefix}strange.")
    create(cluster, Layout(requests=1))
    evil = "\x1b]52;c;cGF5bG9hZA==\x07\nforged \u202e line\x9b2J"
    block = Block("requests", 0, range(1), [7], [evil.encode()], [evil.encode()], [[(evil, evil.encode())]])
    letter = dead_letter(block, Refusal(0, "model_failed", f"$.{evil}", evil), "score")
    producer = TransactionalProducer(cluster, "refuser")
    producer.commit([], [letter], None)
    producer.close()
    found, again = find(cluster, "0/0", 0)
    lines = [*full(found, again), *table(listing(Found(cluster, Filter(), 0), limit=20))]
    lines = "\n".join(lines).split("\n")
    assert all(map(str.isprintable, lines)) and not [line for line in lines if line.startswith("forged")]
    assert "\\x1b]52" in "\n".join(lines)
    result = CliRunner().invoke(
        app,
        ["dead-letters", "show", "0/0"],
        env={"DRIFTLINE_KAFKA__BOOTSTRAP": kafka, "DRIFTLINE_KAFKA__PREFIX": cluster.prefix},
    )
    assert result.exit_code == 0 and not set("\x1b\x07\u202e\x9b") & set(result.output)


def test_what_was_cut_says_so(cluster):
    letter, _ = find(cluster, "0/3", 0)
    assert "cannot be redriven" in "\n".join(full(letter, False))
