"""Models that inference workers have loaded: a process asks them, and loads nothing itself.

A batch goes out with its shape, and an answer says at which shape it was scored. So what an observation records is
true, and the score is made again bit for bit.
"""

from typing import TYPE_CHECKING, Any

import msgspec

from inference.backends.backend import Backend
from inference.backends.errors import ArtefactError, OutOfMemory
from inference.packages.model_toml import ModelPackage

if TYPE_CHECKING:
    import numpy as np

    from inference.backends.remote.remote_toml import RemoteModel

_DEADLINE_MS_MAX = 10_000
#: Names of the tensors, and of the parameters that hold shapes, as `inference.oip.requests` has them.
_INPUT, _OUTPUT, _BUCKET, _BUCKETS = "matrix", "scores", "bucket", "buckets"


class Workers(msgspec.Struct, frozen=True):
    """Where inference workers are, ``grpc://host:port`` each, all with the same versions; ``ca`` is a PEM file."""

    addresses: tuple[str, ...]
    ca: str = ""


def ask_workers(package: ModelPackage, workers: Workers) -> Backend:
    """A backend that asks inference workers for a version; nobody is asked yet.

    Raises
    ------
    ArtefactError
        What asks is not installed, or an address is none.
    """
    try:
        from inference.backends.remote.oip_grpc import OipGrpc
        from inference.backends.remote.remote_model import Remote
    except ImportError as error:
        raise ArtefactError(f"score.workers: {error.name} is not installed; pip install 'driftline[remote]'") from error

    class ByShape(OipGrpc):
        """Says the shape of a batch, and sees in the answer that it was that one."""

        def request(self, matrix: "np.ndarray") -> Any:
            message = super().request(matrix)
            message.parameters[_BUCKET].int64_param = len(matrix)
            return message

        def call(self, address: int, request: Any, headers: dict[str, str], timeout_s: float) -> Any:
            answer = super().call(address, request, headers, timeout_s)
            rows = request.inputs[0].shape[0]
            shapes = answer.parameters[_BUCKETS].string_param
            if shapes != f"[[{rows},{rows}]]":
                raise OutOfMemory(f"{rows} rows were scored at other shapes there: {shapes[:100]}")
            return answer

    remote = _remote(package, workers)
    return Remote(package, remote, ByShape(remote, package))


def _remote(package: ModelPackage, workers: Workers) -> "RemoteModel":
    from inference.backends.remote.remote_toml import Input, Output, RemoteModel

    return RemoteModel(
        protocol="oip-v2-grpc",
        addresses=workers.addresses,
        model=package.name,
        version=package.version,
        # At most half of what ends this process as a call that hangs.
        deadline_ms=max(1, min(_DEADLINE_MS_MAX, int(500 * package.limits.call_s_max))),
        inputs=(Input(_INPUT),),
        outputs=(Output(_OUTPUT),),
        ca=workers.ca,
    )
