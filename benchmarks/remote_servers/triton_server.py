"""Triton with the small model; run by the interpreter of its own environment.

python triton_server.py HTTP_PORT GRPC_PORT METRICS_PORT
"""

import sys

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig


@batch
def churn(x):
    """2 a + 10 b + 100 c."""
    if (x[:, 0] == 13).any():
        raise ValueError("a is 13")
    x = np.nan_to_num(x, nan=-1)
    return {"p": (2 * x[:, :1] + 10 * x[:, 1:2] + 100 * x[:, 2:3]).astype(np.float32)}


def main():
    """Serve until the process ends."""
    http, grpc, metrics = map(int, sys.argv[1:])
    where = {"http_address": "127.0.0.1", "grpc_address": "127.0.0.1", "metrics_address": "127.0.0.1"}
    config = TritonConfig(http_port=http, grpc_port=grpc, metrics_port=metrics, **where)
    with Triton(config=config) as triton:
        triton.bind(
            model_name="churn",
            infer_func=churn,
            inputs=[Tensor(name="x", dtype=np.float32, shape=(3,))],
            outputs=[Tensor(name="p", dtype=np.float32, shape=(1,))],
            config=ModelConfig(max_batch_size=4096),
        )
        triton.serve()


if __name__ == "__main__":
    main()
