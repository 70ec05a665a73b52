"""TLS as librdkafka's options describe it, for whoever speaks to the same brokers without librdkafka.

That is Faust's own client, and `streams.kafka.refused`, which asks a broker why librdkafka cannot connect.
"""

import ssl
from collections.abc import Mapping
from pathlib import Path

#: Options that only librdkafka can follow, with what to write instead.
_UNREADABLE = {
    "ssl.keystore.location": "ssl.certificate.location and ssl.key.location",
    "ssl.engine.location": "ssl.certificate.location and ssl.key.location",
    "ssl.certificate.pem": "ssl.certificate.location",
    "ssl.key.pem": "ssl.key.location",
}


class TlsError(ValueError):
    """An option for TLS that cannot be used; the text names it, its value where that is a path, and the remedy."""


def uses_tls(options: Mapping[str, str]) -> bool:
    """Whether the options ask for TLS.

    >>> uses_tls({"security.protocol": "sasl_ssl"}), uses_tls({})
    (True, False)
    """
    return options.get("security.protocol", "").upper().endswith("SSL")


def context(options: Mapping[str, str]) -> ssl.SSLContext:
    """Make the context of a client.

    Parameters
    ----------
    options
        librdkafka's, references resolved.

    Raises
    ------
    TlsError
        A file is missing, is no certificate, or the key does not fit; or an option that only librdkafka follows.
    """
    for name, instead in _UNREADABLE.items():
        if name in options:
            raise TlsError(f"{name}: Faust's client, which follows `models`, cannot use it; set {instead}")
    made = _authorities(options)
    if options.get("ssl.endpoint.identification.algorithm", "https") == "none":
        made.check_hostname = False
    if options.get("enable.ssl.certificate.verification", "true") == "false":
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if certificate := options.get("ssl.certificate.location"):
        _identify(made, certificate, options)
    return made


def _authorities(options: Mapping[str, str]) -> ssl.SSLContext:
    where = options.get("ssl.ca.location", "probe")
    given = {"cafile" if Path(where).is_file() else "capath": where} if where != "probe" else {}
    if given and not Path(where).exists():
        raise TlsError(f"ssl.ca.location: {where} is not there; name the file with your cluster's authorities")
    try:
        return ssl.create_default_context(cadata=options.get("ssl.ca.pem"), **given)  # type: ignore[arg-type]
    except (ssl.SSLError, OSError) as error:
        raise TlsError(f"ssl.ca.location: {where} holds no certificate in PEM ({_short(error)}); name one") from None


def _identify(made: ssl.SSLContext, certificate: str, options: Mapping[str, str]) -> None:
    key = options.get("ssl.key.location", certificate)
    for name, path in (("ssl.certificate.location", certificate), ("ssl.key.location", key)):
        if not Path(path).is_file():
            raise TlsError(f"{name}: {path} is not there; mend the path")
    try:
        made.load_cert_chain(certificate, key, lambda: options.get("ssl.key.password", ""))
    except ssl.SSLError as error:
        if "KEY_VALUES_MISMATCH" in str(error):
            why = f"ssl.key.location: {key} is not the key of {certificate}; name the one that is"
        else:
            why = f"ssl.key.location: {key} cannot be opened ({_short(error)}); see ssl.key.password"
        raise TlsError(why) from None
    except OSError as error:
        raise TlsError(f"ssl.key.location: {key}: {error.strerror}; mend its permissions") from None


def _short(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or type(error).__name__
