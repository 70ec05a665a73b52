"""What one writes by hand: a librdkafka loop that decodes, runs the model, produces and commits a transaction.

``python bare.py BOOTSTRAP PREFIX RUN REGISTRY``. No dead letters, no observations, no headers, no routes, no second
thread; a request that cannot be read ends it. Its answers have the same fields as ours.
"""

import sys
from pathlib import Path

import confluent_kafka as ck
import msgspec
import numpy as np
import torch

FEATURES = tuple(f"x{k}" for k in range(12))
BATCH_ROWS = 512
Request = msgspec.defstruct("Request", [("id", str), *((name, float) for name in FEATURES)])


class Prediction(msgspec.Struct):
    """One answer."""

    id: str
    model: str
    version: str
    ts: int
    score: float
    prediction: str
    route: str = "champion"


def main(bootstrap: str, prefix: str, run: str, registry: str) -> None:
    """Run until it is killed."""
    torch.set_num_threads(1)
    model = torch.export.load(Path(registry) / "mlp" / "v1" / "model.pt2").module()
    producer = ck.Producer(
        {
            "bootstrap.servers": bootstrap,
            "transactional.id": prefix + "bare-" + run,
            "transaction.timeout.ms": 2_000,
            "compression.type": "lz4",
            "linger.ms": 5,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    producer.init_transactions()
    consumer = ck.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": prefix + "bare-" + run,
            "group.protocol": "consumer",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.queue.backoff.ms": 1,
            "queued.min.messages": 100_000,
            "fetch.wait.max.ms": 50,
        }
    )
    consumer.subscribe([prefix + "requests"])
    decode, encode, target = msgspec.json.Decoder(Request).decode, msgspec.json.Encoder().encode, prefix + "predictions"
    while True:
        messages = consumer.consume(1, 0.05)
        messages += consumer.consume(4_999, 0) if messages else []
        if not messages:
            continue
        requests = [decode(message.value()) for message in messages]
        scores = score(model, np.array([msgspec.structs.astuple(request)[1:] for request in requests], np.float32))
        producer.begin_transaction()
        for message, request, p in zip(messages, requests, scores, strict=True):
            answer = Prediction(request.id, "mlp", "v1", message.timestamp()[1], p, "1" if p >= 0.5 else "0")
            while True:
                try:
                    producer.produce(target, encode(answer), message.key(), partition=message.partition())
                    break
                except BufferError:
                    producer.poll(0.1)
        ends = {message.partition(): message.offset() + 1 for message in messages}
        offsets = [ck.TopicPartition(prefix + "requests", p, end) for p, end in ends.items()]
        producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata())
        producer.commit_transaction()


@torch.inference_mode()
def score(model: torch.nn.Module, matrix: np.ndarray) -> list[float]:
    """Probabilities of rows, in batches of the shape that the model was exported for."""
    found: list[float] = []
    for first in range(0, len(matrix), BATCH_ROWS):
        part = matrix[first : first + BATCH_ROWS]
        batch = np.zeros((BATCH_ROWS, len(FEATURES)), np.float32)
        batch[: len(part)] = part
        found += model(torch.from_numpy(batch))[: len(part), 0].tolist()
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
