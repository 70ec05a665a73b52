"""Why a cluster does not let us in, with the setting that mends it.

librdkafka says of most failures that a broker's certificate "could not be verified", or nothing at all; so the TLS
handshake is made here once more, and librdkafka's own words are asked for what comes behind it.
"""

import re
import socket
import ssl
from collections.abc import Mapping

import confluent_kafka as ck
import msgspec

from streams.kafka import tls
from streams.kafka.cluster import Cluster
from streams.secrets import SecretError

_CONNECT_S = 3.0
_NAMES = "[kafka.options] "
#: OpenSSL's numbers for why a certificate is not believed.
_EXPIRED, _OTHER_HOST = (10,), (62, 64)
_ALERT = re.compile(r"alert (certificate \w+|bad certificate|unknown ca)", re.IGNORECASE)
_NOISE = re.compile(r"^\w+://\S+: | \(after .*\)$")


class Refusal(msgspec.Struct, frozen=True):
    """Why, and what to do.

    Attributes
    ----------
    why
        What was tried, where, and what came.
    fix
        The setting to change.
    certain
        False where a broker that is just starting or ending would look the same.
    """

    why: str
    fix: str
    certain: bool = True

    def __str__(self) -> str:
        return f"{self.why}; {self.fix}"


def why_refused(cluster: Cluster, wait_s: float = 3.0) -> Refusal | None:
    """Ask a cluster that does not answer a client why; None where that cannot be found out: it may just be away.

    Parameters
    ----------
    wait_s
        How long to wait for librdkafka's words.
    """
    try:
        options = cluster.opened()
        context = tls.context(options) if tls.uses_tls(options) else None
    except SecretError as error:
        return Refusal(f"{_NAMES}{error}", "nothing was tried")
    except tls.TlsError as error:
        why, _, fix = str(error).rpartition("; ")
        return Refusal(f"{_NAMES}{why}", fix)
    for address in options.get("bootstrap.servers", cluster.bootstrap).split(","):
        refusal = _handshake(address.strip(), context)
        if refusal is not None:
            return refusal
    return _login(cluster, options, wait_s)


def _handshake(address: str, context: ssl.SSLContext | None) -> Refusal | None:
    """Why TLS fails with one address, or is needed there; None where nobody answers."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        plain = socket.create_connection((host, int(port)), _CONNECT_S)
    except (OSError, ValueError):
        return None
    with plain:
        if context is None:
            return _speaks_tls(plain, address)
        try:
            context.wrap_socket(plain, server_hostname=host).close()
        except ssl.SSLCertVerificationError as error:
            return _unbelieved(address, host, error)
        except (ssl.SSLError, ConnectionError) as error:
            why = f"{address} ends the TLS handshake ({getattr(error, 'reason', None) or error})"
            return Refusal(why, f'if it is a PLAINTEXT listener, {_NAMES}security.protocol = "PLAINTEXT"', False)
        except OSError:
            return None
    return None


def _speaks_tls(plain: socket.socket, address: str) -> Refusal | None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # Nothing is sent: only whether it speaks TLS.
    try:
        context.wrap_socket(plain).close()
    except OSError:
        return None
    fix = f'{_NAMES}security.protocol = "SASL_SSL" (with a user) or "SSL" (with a client certificate)'
    return Refusal(f"{address} speaks TLS, and we were told not to", fix)


def _unbelieved(address: str, host: str, error: ssl.SSLCertVerificationError) -> Refusal:
    why = f"{address}: its certificate is not accepted: {error.verify_message}"
    if error.verify_code in _EXPIRED:
        return Refusal(why, "renew the broker's certificate, and see this machine's clock")
    if error.verify_code in _OTHER_HOST:
        return Refusal(why, f"write in kafka.bootstrap a name that the certificate has, not {host}")
    return Refusal(why, f"{_NAMES}ssl.ca.location must name the authority that signed it")


def _login(cluster: Cluster, options: Mapping[str, str], wait_s: float) -> Refusal | None:
    """What librdkafka says of a cluster whose TLS is well."""
    words: list[str] = []
    try:
        admin = cluster.admin(log_level=0, error_cb=lambda error: words.append(_NOISE.sub("", error.str())))
        admin.list_topics(timeout=wait_s)
    except ck.KafkaException as error:
        if error.args[0].code() == ck.KafkaError._INVALID_ARG:
            return Refusal(f"{_NAMES}{error.args[0].str()}", "mend the option")
        admin.poll(0.1)
    else:
        return None
    where = options.get("bootstrap.servers", cluster.bootstrap)
    for word in words:
        if "SASL" in word:
            return _unknown_user(where, options, word)
        if alert := _ALERT.search(word):
            return _unknown_client(where, options, alert[1])
    if tls.uses_tls(options) and not options["security.protocol"].upper().startswith("SASL"):
        fix = f'if it wants a user, {_NAMES}security.protocol = "SASL_SSL", sasl.mechanism, sasl.username'
        return Refusal(f"{where} takes the TLS handshake and then closes", fix, False)
    return None


def _unknown_user(where: str, options: Mapping[str, str], word: str) -> Refusal:
    user = options.get("sasl.username") or options.get("sasl.oauthbearer.client.id", "")
    names = "sasl.oauthbearer.*" if "OAUTHBEARER" in word else "sasl.username, sasl.password and sasl.mechanism"
    why = word.removeprefix("SASL authentication error: ")
    return Refusal(f"{where} does not let in user {user!r}: {why}", f"see {_NAMES}{names}")


def _unknown_client(where: str, options: Mapping[str, str], alert: str) -> Refusal:
    certificate = options.get("ssl.certificate.location")
    if certificate is None:
        why = f"{where} wants a client certificate ({alert})"
        return Refusal(why, f"{_NAMES}ssl.certificate.location and ssl.key.location must name one")
    why = f"{where} does not accept the client certificate {certificate} ({alert})"
    dates = f"openssl x509 -noout -issuer -dates -in {certificate}"
    return Refusal(why, f"{_NAMES}ssl.certificate.location must name one of its authorities that holds: {dates}")
