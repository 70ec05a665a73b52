"""Where a server listens, and its bounds."""

import ipaddress
import ssl
from pathlib import Path

import msgspec

#: Of a message or a body: a batch of 65,536 rows of 100 columns has 26 MB.
BODY_BYTES_MAX = 33_554_432
#: Calls that are answered side by side.
CALLS_MAX = 256


class NotListening(OSError):
    """An address on which no server can listen; the text says which option to change."""


class Listening(msgspec.Struct, frozen=True):
    """Addresses and certificate of a server.

    Parameters
    ----------
    host
        Address to listen on.
    grpc_port, http_port
        0 takes any that is free.
    certificate, key
        Files in PEM, or neither.
    shared_memory
        Whether clients may have tensors read out of shared memory; on loopback alone.

    >>> Listening("127.0.0.1").is_loopback, Listening("::1").is_loopback, Listening("0.0.0.0").is_loopback
    (True, True, False)
    """

    host: str = "127.0.0.1"
    grpc_port: int = 18070
    http_port: int = 18071
    certificate: Path | None = None
    key: Path | None = None
    shared_memory: bool = False

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise NotListening("a certificate needs its key: give --tls-certificate and --tls-key, or neither")
        if self.shared_memory and not self.is_loopback:
            raise NotListening(f"--shared-memory is for clients of this machine, and --host is {self.host}; drop one")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def pair(self) -> tuple[bytes, bytes] | None:
        """Certificate and key; None without TLS.

        Raises
        ------
        NotListening
            A file cannot be read, or they do not belong together.
        """
        if self.context() is None:
            return None
        assert self.certificate is not None
        assert self.key is not None
        return self.certificate.read_bytes(), self.key.read_bytes()

    def context(self) -> ssl.SSLContext | None:
        """The same for HTTP; see `pair`."""
        if self.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key)
        except OSError as error:
            raise NotListening(
                f"--tls-certificate {self.certificate}, --tls-key {self.key}: {error.strerror or error}; name a "
                "certificate and its key, both PEM, the key without a password"
            ) from error
        return context
