"""What stands on `observations` and is no observation does not keep a stretch from being replayed."""

import confluent_kafka as ck
import msgspec

from driftline.replay.served_log import observed
from inference import Limits, ModelPackage, Outputs, Score, Scorer, Serving, Shapes
from streams.kafka.admin import Layout, create
from streams.kafka.cluster import Cluster
from streams.kafka.ranges import bounds
from streams.wire.block import Block
from streams.wire.records import Route
from streams.wire.schema import Feature

STRANGERS = (None, b"", b"{", b"\xff" * 100)


class Same:
    """The score is the feature."""

    shapes = Shapes((16,))

    def score(self, matrix):
        return matrix[:, :1]

    def health(self):
        return ""


def test_records_that_are_no_observations_are_passed_over(kafka, topic_prefix):
    cluster = Cluster(bootstrap=kafka, prefix=topic_prefix)
    create(cluster, Layout(requests=1))
    package = ModelPackage(
        name="m",
        version="v1",
        task="regression",
        artefact="m.py:M",
        inputs=(Feature("x"),),
        limits=Limits(batch_rows=16),
        outputs=Outputs(),
    )
    serving = Serving(lambda name, version: Scorer(package, Same()))
    serving.follow(Route(model="m", epoch=1, ts=0, champion="v1"))
    score = Score(serving)
    producer, errors = ck.Producer({"bootstrap.servers": kafka, "enable.idempotence": True}), []
    for first in range(0, 200, 2):
        [effects] = score.process([Block.of("requests", 0, [msgspec.json.encode({"x": 1})] * 2, first=first)])
        values = [message.value for message in effects.publish if message.topic == "observations"]
        for value in [*values, STRANGERS[first // 2 % len(STRANGERS)]]:
            producer.produce(
                cluster.topic("observations"), value, partition=0, on_delivery=lambda error, _: errors.append(error)
            )
        producer.produce(cluster.topic("requests"), b"{}", partition=0)
        producer.produce(cluster.topic("requests"), b"{}", partition=0)
    assert producer.flush(60) == 0
    assert errors == [None] * 200 and bounds(cluster, "observations")[0] == (0, 200)
    assert [message.head.first for message in observed(cluster, 0, 190, 194)] == [190, 192]
