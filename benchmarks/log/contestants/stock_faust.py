"""Stock Faust, as its guide has it: an agent, `noack_take`, one `topic.send` a request; at least once.

``python stock_faust.py BOOTSTRAP PREFIX RUN REGISTRY``
"""

import sys
import tempfile
from pathlib import Path

import faust
import msgspec
import numpy as np
import torch
from bare import BATCH_ROWS, Prediction, Request, score


def main(bootstrap: str, prefix: str, run: str, registry: str) -> None:
    """Run until SIGTERM."""
    torch.set_num_threads(1)
    model = torch.export.load(Path(registry) / "mlp" / "v1" / "model.pt2").module()
    app = faust.App(
        prefix + "faust-" + run,
        broker=f"kafka://{bootstrap}",
        consumer_auto_offset_reset="earliest",
        topic_disable_leader=True,
        web_enabled=False,
        store="memory://",
        datadir=tempfile.mkdtemp(),
        autodiscover=False,
    )
    source = app.topic(prefix + "requests", value_serializer="raw", value_type=bytes)
    target = app.topic(prefix + "predictions", value_serializer="raw", value_type=bytes)
    decode, encode = msgspec.json.Decoder(Request).decode, msgspec.json.Encoder().encode

    @app.agent(source)
    async def answer(stream) -> None:
        async for events in stream.noack_take(BATCH_ROWS, within=0.05):
            requests = [decode(event.value) for event in events]
            scores = score(model, np.array([msgspec.structs.astuple(r)[1:] for r in requests], np.float32))
            for event, request, p in zip(events, requests, scores, strict=True):
                ts = int(event.message.timestamp * 1000)
                prediction = Prediction(request.id, "mlp", "v1", ts, p, "1" if p >= 0.5 else "0")
                await target.send(key=event.message.key, value=encode(prediction), partition=event.message.partition)
                event.ack()

    faust.Worker(app, loglevel="ERROR", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main(*sys.argv[1:])
