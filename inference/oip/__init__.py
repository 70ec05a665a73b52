"""A server of the Open Inference Protocol v2, over gRPC and HTTP: loaded versions, asked by anybody's client.

`versions` has what is loaded, and answers; `requests` is a request as either wire gives it, checked before anything is
computed for it; `refusals` says which code an error is on each wire. `grpc_wire` and `http_wire` turn messages into
requests and answers into messages; `grpc_server` and `http_server` listen, `shared_memory` reads tensors of clients on
the same machine; `server` runs both, until it is told to stop. Rows of several callers meet a model in one batch
(`inference.serving.batcher`).

Clients only ask: no message loads, unloads or changes a model.

References
----------
The `protocol <https://github.com/open-inference/open-inference-protocol>`_, and Triton's extensions `binary tensor
data`, `model configuration` and `system shared memory`.
"""
