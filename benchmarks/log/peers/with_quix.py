"""Quix Streams: a dataframe of rows, `apply`, `to_topic`; at least once, its default."""

import sys

import numpy as np
from plain import FEATURES, Plain
from quixstreams import Application

bootstrap, prefix, run, weights = sys.argv[1:]
model = Plain().load(weights=weights)


def answer(request):
    score = float(model.predict(np.array([[request[name] for name in FEATURES]], np.float32))[0])
    return {"id": request["id"], "score": score, "prediction": "1" if score >= 0.5 else "0"}


app = Application(
    broker_address=bootstrap,
    consumer_group=prefix + "quix-" + run,
    auto_offset_reset="earliest",
    consumer_extra_config={"fetch.queue.backoff.ms": 1, "queued.min.messages": 100_000},
    producer_extra_config={"compression.type": "lz4", "linger.ms": 5},
    auto_create_topics=False,
    use_changelog_topics=False,
    loglevel="WARNING",
)
requests = app.topic(prefix + "requests", value_deserializer="json")
predictions = app.topic(prefix + "predictions", value_serializer="json")
app.dataframe(requests).apply(answer).to_topic(predictions)
app.run()
