"""What the protocols over HTTP have in common: a client an address, and what a status means."""

from inference.backends.remote.failures import of_status
from inference.backends.remote.http_client import Answer, HttpClient
from inference.backends.remote.remote_toml import RemoteModel

#: A request: headers of its own, and the body.
Request = tuple[dict[str, str], bytes]
JSON = {"content-type": "application/json", "accept": "application/json"}


class HttpWire:
    """Posts requests to one path of each address."""

    def __init__(self, remote: RemoteModel, path: str) -> None:
        self._path = path
        self._refusals = tuple(map(str, remote.refusals))
        self._clients = [HttpClient(address, remote.ca, remote.answer_bytes_max) for address in remote.addresses]

    def call(self, address: int, request: Request, headers: dict[str, str], timeout_s: float) -> Answer:
        """Post a request; see `inference.backends.remote.protocols.Wire`.

        Parameters
        ----------
        address
            Its number.
        request, headers
            What is sent.
        timeout_s
            For all of it.
        """
        of_request, body = request
        answer = self._clients[address].post(self._path, body, {**headers, **of_request}, timeout_s)
        if answer.status != 200:
            raise of_status(answer.status, answer.body.decode("utf-8", "replace"), self._refusals)
        return answer
