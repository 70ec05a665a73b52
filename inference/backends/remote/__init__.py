"""A model that runs elsewhere: a server is asked, by the Open Inference Protocol, TF Serving's, or a mapping of JSON.

A `remote.toml` beside the `model.toml` says where and how (`remote_toml`, which `reading` reads). A batch goes the way
of these files:

1. `remote_model` picks an address whose breaker lets calls through (`breaker`), in turn.
2. A protocol (`protocols` has the table) writes the batch: `tensors` are its columns; `oip_grpc`, `oip_http`,
   `tf_serving` and `plain_http` are what travels, the last by the paths of `json_path`.
3. `http_client` or gRPC carries it, with the `headers` whose secrets are opened for each call, until the deadline.
4. The answer is read into scores, or it is a failure of a kind (`failures` has the table).
5. What failed and may be repeated is repeated at another address, as often as `retry_budget` allows.
6. Who answers in its place while it is away is read here (`fallback`), and served by `inference.serving.standby`.

Whatever this machine needs for it (urllib3, gRPC) is imported when a remote model is loaded.
"""
