"""Bytewax: Kafka operators around `flat_map_batch`, which takes rows as they came; no recovery store, its default."""

import sys

import numpy as np
import orjson
from bytewax import operators as op
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.testing import run_main
from plain import FEATURES, Plain

bootstrap, prefix, run, weights = sys.argv[1:]
model = Plain().load(weights=weights)


def answer(messages):
    requests = [orjson.loads(message.value) for message in messages]
    scores = model.predict(np.array([[r[name] for name in FEATURES] for r in requests], np.float32)).tolist()
    return [
        KafkaSinkMessage(m.key, orjson.dumps({"id": r["id"], "score": p, "prediction": "1" if p >= 0.5 else "0"}))
        for m, r, p in zip(messages, requests, scores, strict=True)
    ]


flow = Dataflow("score")
fetch = {"fetch.queue.backoff.ms": "1", "queued.min.messages": "100000"}
source = kop.input("requests", flow, brokers=[bootstrap], topics=[prefix + "requests"], add_config=fetch)
answers = op.flat_map_batch("score", source.oks, answer)
write = {"compression.type": "lz4", "linger.ms": "5"}
kop.output("predictions", answers, brokers=[bootstrap], topic=prefix + "predictions", add_config=write)
run_main(flow)
