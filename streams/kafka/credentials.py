"""What Faust's own client, which reads `models`, is told to get in: the same as librdkafka."""

from collections.abc import Mapping

from faust import auth

from streams.kafka import tls
from streams.kafka.oauth import Tokens

_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")


class CredentialsError(ValueError):
    """Options that Faust's client cannot follow; the text names the option and what it takes."""


def mechanism(options: Mapping[str, str]) -> str:
    """The SASL mechanism that the options name; librdkafka has two names for the option, and a default.

    >>> mechanism({"sasl.mechanisms": "SCRAM-SHA-512"}), mechanism({})
    ('SCRAM-SHA-512', 'GSSAPI')
    """
    return options.get("sasl.mechanism") or options.get("sasl.mechanisms", "GSSAPI")


def faust_credentials(options: Mapping[str, str]) -> auth.Credentials | None:
    """Credentials by librdkafka's options, references resolved; None where neither TLS nor SASL is asked for.

    Raises
    ------
    CredentialsError
        A mechanism that is not known here.
    TlsError, TokenError
        A file or an option for them is missing.
    """
    protocol = options.get("security.protocol", "plaintext").upper()
    context = tls.context(options) if tls.uses_tls(options) else None
    if not protocol.startswith("SASL"):
        return None if context is None else auth.SSLCredentials(context)
    named = mechanism(options)
    if named not in _MECHANISMS:
        raise CredentialsError(f"sasl.mechanism: {named} is not known here; take one of {', '.join(_MECHANISMS)}")
    if named == "OAUTHBEARER":
        return auth.OAuthCredentials(oauth_cb=Tokens(options), ssl_context=context)
    missing = [name for name in ("sasl.username", "sasl.password") if name not in options]
    if missing:
        raise CredentialsError(f"sasl.mechanism: {named} needs {' and '.join(missing)}; set them in [kafka.options]")
    return auth.SASLCredentials(
        username=options["sasl.username"], password=options["sasl.password"], mechanism=named, ssl_context=context
    )
