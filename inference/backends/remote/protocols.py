"""Protocols: one row each. A row imports what speaks it when it is asked to."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from inference.backends.remote.remote_toml import RemoteModel
from inference.packages.model_toml import ModelPackage

if TYPE_CHECKING:
    import numpy as np


class Wire(Protocol):
    """Speaks one protocol to the addresses of one remote."""

    def request(self, matrix: "np.ndarray") -> Any:
        """Write a batch, float32 [rows, features], once for all addresses."""
        ...

    def call(self, address: int, request: Any, headers: dict[str, str], timeout_s: float) -> Any:
        """Send a request to an address and return what came.

        Parameters
        ----------
        address
            Its number.
        request, headers
            What `request` wrote, and the headers of `remote.toml`, opened.
        timeout_s
            For all of it.

        Raises
        ------
        Away, InputRefused, OutOfMemory
            See `inference.backends.remote.failures`.
        """
        ...

    def scores(self, answer: Any, rows: int) -> "np.ndarray":
        """Read an answer to a batch of so many rows, float32 [rows, outputs].

        Raises
        ------
        WrongAnswer
            It is none for such a batch.
        """
        ...


def _oip_grpc(remote: RemoteModel, package: ModelPackage) -> Wire:
    from inference.backends.remote.oip_grpc import OipGrpc

    return OipGrpc(remote, package)


def _oip_http(remote: RemoteModel, package: ModelPackage) -> Wire:
    from inference.backends.remote.oip_http import OipHttp

    return OipHttp(remote, package)


def _tf_serving(remote: RemoteModel, package: ModelPackage) -> Wire:
    from inference.backends.remote.tf_serving import TfServing

    return TfServing(remote, package)


def _plain_http(remote: RemoteModel, package: ModelPackage) -> Wire:
    from inference.backends.remote.plain_http import PlainHttp

    return PlainHttp(remote, package)


PROTOCOLS: dict[str, Callable[[RemoteModel, ModelPackage], Wire]] = {
    "oip-v2-grpc": _oip_grpc,
    "oip-v2-http": _oip_http,
    "tf-serving": _tf_serving,
    "http": _plain_http,
}
