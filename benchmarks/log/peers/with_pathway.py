"""Pathway: a table from Kafka, a UDF over batches, a table to Kafka; at least once."""

import sys

import numpy as np
import pathway as pw
from plain import FEATURES, Plain

bootstrap, prefix, run, weights = sys.argv[1:]
model = Plain().load(weights=weights)
Request = pw.schema_from_types(request=str, **dict.fromkeys(FEATURES, float))


@pw.udf(max_batch_size=1_000, deterministic=True)
def score(*columns: list[float]) -> list[float]:
    return model.predict(np.array(columns, np.float32).T).tolist()


read = {
    "bootstrap.servers": bootstrap,
    "group.id": prefix + "pathway-" + run,
    "auto.offset.reset": "earliest",
    "fetch.queue.backoff.ms": "1",
    "queued.min.messages": "100000",
}
RENAMED = {"request": "/id"}  # `id` is Pathway's own
requests = pw.io.kafka.read(
    read, prefix + "requests", schema=Request, format="json", json_field_paths=RENAMED, autocommit_duration_ms=100
)
scored = requests.select(requests.request, score=score(*(requests[name] for name in FEATURES)))
answers = scored.select(scored.request, scored.score, prediction=pw.if_else(scored.score >= 0.5, "1", "0"))
write = {"bootstrap.servers": bootstrap, "compression.type": "lz4", "linger.ms": "5"}
pw.io.kafka.write(answers, write, prefix + "predictions", format="json")
pw.run(monitoring_level=pw.MonitoringLevel.NONE)
