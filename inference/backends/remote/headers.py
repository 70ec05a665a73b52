"""Headers of a call: secrets are references in `remote.toml`, are opened for each call, and stand in no error."""

import re
from collections.abc import Mapping

from inference.backends.remote.failures import Away
from streams.addresses import HIDDEN
from streams.secrets import SecretError, is_reference, open_reference

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_SECRET = re.compile(r"auth|cookie|key|token|secret|password|session|signature|credential")
#: What the transport itself writes.
_OURS = frozenset({
    *("host", "connection", "te", "upgrade", "content-length", "content-type", "content-encoding"),
    *("accept-encoding", "transfer-encoding"),
})  # fmt: skip
_CONTROL = re.compile(r"[^\x20-\x7e]")


def complaint(headers: Mapping[str, str]) -> str:
    """Why headers cannot be sent, or an empty text.

    >>> complaint({"authorization": "Bearer env:CHURN_KEY", "x-tenant": "blue"})
    ''
    >>> complaint({"x-api-key": "hunter2"})
    'headers.x-api-key: a secret stands in the open; write a reference, env:NAME or file:PATH'
    """
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            return f"headers.{name}: a header's name is lower case, of letters, digits and dashes; correct it"
        if name in _OURS or name.startswith("grpc-"):
            return f"headers.{name}: the client writes this header itself; leave it out"
        scheme, _, last = value.rpartition(" ")
        if (_SECRET.search(name) or scheme.lower() in ("bearer", "basic")) and not is_reference(last):
            return f"headers.{name}: a secret stands in the open; write a reference, env:NAME or file:PATH"
        if _CONTROL.search(value):
            return f"headers.{name}: a value is of printable ASCII; correct it"
    return ""


class Headers:
    """The headers of one remote, as `remote.toml` has them: ``Bearer env:NAME`` is a word and a reference."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __call__(self) -> dict[str, str]:
        """Open them.

        Raises
        ------
        Away
            A reference leads nowhere now, or to what is no header; the text names it, and no value.
        """
        opened = {}
        for name, value in self._headers.items():
            scheme, space, last = value.rpartition(" ")
            try:
                secret = open_reference(last).strip()
            except SecretError as error:
                raise Away(f"headers.{name}: {error}") from None
            if _CONTROL.search(secret):
                raise Away(f"headers.{name}: {last} holds what no header can; write one line of ASCII")
            opened[name] = f"{scheme}{space}{secret}"
        return opened

    def hide(self, text: str, sent: Mapping[str, str]) -> str:
        """A text of the server's, which may repeat what it was sent, without our secrets.

        Parameters
        ----------
        text
            What came.
        sent
            The headers that the server got: a reference may hold another secret by now.

        >>> Headers({"authorization": "Bearer env:KEY"}).hide("no user hunter2", {"authorization": "Bearer hunter2"})
        'no user ***'
        """
        for name, value in self._headers.items():
            scheme, space, last = value.rpartition(" ")
            secret = sent.get(name, "").removeprefix(f"{scheme}{space}")
            if secret and is_reference(last):
                text = text.replace(secret, HIDDEN)
        return text
