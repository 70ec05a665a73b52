"""FastStream: a subscriber and a publisher of batches, on its Confluent broker; at most once, its default."""

import asyncio
import sys

import numpy as np
from faststream import FastStream
from faststream.confluent import KafkaBroker
from plain import FEATURES, Plain

bootstrap, prefix, run, weights = sys.argv[1:]
model = Plain().load(weights=weights)
broker = KafkaBroker(bootstrap, compression_type="lz4", linger_ms=5, logger=None)


@broker.publisher(prefix + "predictions", batch=True)
@broker.subscriber(
    prefix + "requests",
    batch=True,
    max_records=1_000,
    group_id=prefix + "faststream-" + run,
    auto_offset_reset="earliest",
)
async def answer(requests: list):
    scores = model.predict(np.array([[r[name] for name in FEATURES] for r in requests], np.float32)).tolist()
    return [
        {"id": r["id"], "score": p, "prediction": "1" if p >= 0.5 else "0"}
        for r, p in zip(requests, scores, strict=True)
    ]


asyncio.run(FastStream(broker).run())
