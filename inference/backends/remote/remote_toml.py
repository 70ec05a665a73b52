"""What a `remote.toml` says: where a model runs, and how it is asked.

>>> remote = RemoteModel(protocol="oip-v2-grpc", addresses=("grpc://triton-1:8001",), inputs=(Input("x"),))
>>> remote.deadline_ms, remote.inputs[0].dtype
(1000, 'FP32')
"""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from inference.backends.errors import ArtefactError
from inference.backends.remote.failures import REFUSALS
from inference.backends.remote.fallback import FixedScore
from inference.backends.remote.headers import complaint

Protocol = Literal["oip-v2-grpc", "oip-v2-http", "tf-serving", "http"]
Dtype = Literal[
    "BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "FP16", "FP32", "FP64", "BYTES"
]
_SCHEMES = {"oip-v2-grpc": ("grpc", "grpcs")}
#: How long a remote is away before its fallback answers, where the file does not say.
FALLBACK_AFTER_S = 30.0
_AFTER_S_MAX = 604_800
_Name = Annotated[str, msgspec.Meta(max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tensor that the model takes.

    Parameters
    ----------
    name
        Of the tensor there; TF Serving takes one without a name.
    dtype
        As the Open Inference Protocol spells it; ``BYTES`` takes the text of one categorical column.
    columns
        Columns of `model.toml`, in order; all of them when absent.
    flat
        Of a single column: shape [rows], and not [rows, 1].
    """

    name: str = ""
    dtype: Dtype = "FP32"
    columns: tuple[str, ...] = ()
    flat: bool = False


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tensor of the answer that is the score, or a part of it.

    Parameters
    ----------
    name
        Of the tensor there.
    columns
        Which of its columns; all of them when absent.
    """

    name: str
    columns: tuple[Annotated[int, msgspec.Meta(ge=0)], ...] = ()


class HttpMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How plain HTTP is spoken.

    Parameters
    ----------
    path
        Below the address.
    rows
        JSON path at which the request has its rows.
    row
        A row as an ``object`` by name, or as an ``array`` in the order of the columns; values as requests have them.
    body
        What the request holds beside its rows, and the same each time.
    scores
        JSON paths of the scores in the answer, a number a row: ``$.rows[*].p``; several are columns of the scores.
    """

    path: Annotated[str, msgspec.Meta(pattern=r"^/[!-~]*$")] = "/"
    rows: str = "$.rows"
    row: Literal["object", "array"] = "object"
    body: dict[str, Any] = {}
    scores: tuple[str, ...] = ("$.scores",)


class RemoteModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The contents of a `remote.toml`.

    Parameters
    ----------
    protocol
        ``oip-v2-grpc``, ``oip-v2-http``, ``tf-serving`` or ``http``.
    addresses
        ``grpc://host:8001``, ``https://host/prefix``; several share the calls.
    model, version
        Its name there, when it is another than in `model.toml`; its version, when it is not for the server to choose.
    deadline_ms
        How long a call may take.
    inputs, outputs
        Tensors. Without outputs the answer must hold one tensor alone.
    missing
        What stands for a missing value where dtype or protocol have no NaN: ``null``, ``NaN`` (not quite JSON, and
        read by TF Serving), or a number. ``null`` when absent, and NaN for TF Serving.
    binary
        Of ``oip-v2-http``: tensors as bytes behind the JSON, as Triton and KServe read them.
    headers
        Sent with each call (metadata of gRPC); secrets as references.
    ca
        File of authorities on this machine, where they are not the system's.
    refusals
        HTTP statuses or gRPC codes by which the server blames the batch; see `inference.backends.remote.failures`.
    answer_bytes_max
        A longer answer is not read.
    http
        How plain HTTP is spoken.
    fallback
        Who answers while it is away: another version of the model, or a fixed score. Requests wait when absent.
    fallback_after_s
        How long it has to be away before, from the first call that failed on; 30 s when absent.
    """

    protocol: Protocol
    addresses: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=64)]
    model: _Name = ""
    version: _Name = ""
    deadline_ms: Annotated[int, msgspec.Meta(ge=1, le=600_000)] = 1_000
    inputs: tuple[Input, ...] = (Input(),)
    outputs: tuple[Output, ...] = ()
    missing: Literal["null", "NaN"] | float | None = None
    binary: bool = False
    headers: dict[str, str] = {}
    ca: str = ""
    refusals: tuple[str | int, ...] = REFUSALS
    answer_bytes_max: Annotated[int, msgspec.Meta(ge=1_024, le=1_073_741_824)] = 16_777_216
    http: HttpMapping | None = None
    fallback: str | FixedScore | None = None
    fallback_after_s: Annotated[float, msgspec.Meta(ge=0, le=_AFTER_S_MAX)] | None = None

    def __post_init__(self) -> None:
        schemes = _SCHEMES.get(self.protocol, ("http", "https"))
        for n, address in enumerate(self.addresses):
            _check_address(n, address, schemes)
        if (self.http is not None) != (self.protocol == "http"):
            raise ArtefactError('http: a table [http] says how protocol = "http" is spoken, and belongs to it alone')
        if not self.inputs or (any(not tensor.name for tensor in self.inputs) and not self._nameless):
            raise ArtefactError(f"inputs: {self.protocol} takes tensors by name; list [[inputs]], each with its name")
        if self.binary and self.protocol != "oip-v2-http":
            raise ArtefactError('binary: it belongs to protocol = "oip-v2-http"; leave it out')
        if self.fallback is None and self.fallback_after_s is not None:
            raise ArtefactError(
                'fallback_after_s: it says when a fallback answers, and there is none; write fallback = "v1" or '
                "fallback = { default = 0.5 }, or leave it out"
            )
        if why := complaint(self.headers):
            raise ArtefactError(why)

    @property
    def _nameless(self) -> bool:
        return self.protocol == "http" or (self.protocol == "tf-serving" and len(self.inputs) == 1)


def _check_address(n: int, address: str, schemes: tuple[str, ...]) -> None:
    wanted = " or ".join(f"{scheme}://host:port" for scheme in schemes)
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise ArtefactError(f"addresses[{n}]: {error}; write {wanted}") from None
    if parts.username is not None or parts.password is not None or parts.query:
        raise ArtefactError(f"addresses[{n}]: a user, a password or a query stands in it; use [headers] for secrets")
    grpc_without = schemes[0] == "grpc" and (port is None or parts.path.strip("/"))
    if parts.scheme not in schemes or not parts.hostname or parts.fragment or grpc_without:
        raise ArtefactError(f"addresses[{n}] {address!r}: write {wanted}")
