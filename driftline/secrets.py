"""Which settings are secrets; none is ever printed, and none that stands in the open is written to disk."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from streams.addresses import HIDDEN, without_secrets

#: librdkafka's options whose value is a secret, or holds one.
_KAFKA_OPTION = re.compile(
    r"password|secret|token|credential|jaas|passphrase|assertion\.claim|\.pem$|oauthbearer\.config", re.IGNORECASE
)
_NO_SECRETS = re.compile(r"^(ssl\.certificate\.pem|ssl\.ca\.pem|sasl\.oauthbearer\.token\.endpoint\.url)$")
#: Settings that are lists of addresses whose every part may be a token.
_ADDRESSES = ("monitor.notify", "monitor.chat")


def is_secret_option(name: str) -> bool:
    """Whether a librdkafka option is a secret, or holds one.

    >>> [is_secret_option(name) for name in ("sasl.password", "ssl.key.pem", "sasl.username", "ssl.key.location")]
    [True, True, False, False]
    """
    return bool(_KAFKA_OPTION.search(name)) and not _NO_SECRETS.match(name)


def concealed(key: str, value: Any) -> Any:
    """A setting with its secrets left out; references to secrets stay, they are none.

    >>> concealed("kafka.options", {"sasl.password": "secret", "sasl.username": "me", "ssl.key.password": "env:KEY"})
    {'sasl.password': '***', 'sasl.username': 'me', 'ssl.key.password': 'env:KEY'}
    >>> concealed("monitor.notify", ["json://me:secret@host/", "env:ONCALL_URL", "slack://token-a/token-b"])
    ['json:***', 'env:ONCALL_URL', 'slack:***']
    >>> concealed("registry", "s3://bucket/models?token=abc&x=1"), concealed("schema_registry.url", "http://a:b/c@d@h")
    ('s3://bucket/models?token=***&x=1', 'http://a:***@h')
    """
    if key in _ADDRESSES:
        addresses = value if isinstance(value, list | tuple) else [value]
        return [
            address if _refers(address) else f"{str(address).partition(':')[0][:16]}:{HIDDEN}" for address in addresses
        ]
    last = key.rpartition(".")[2]
    if (last == "password" or (key.startswith("kafka.options.") and is_secret_option(key[14:]))) and value:
        return value if _refers(value) else HIDDEN
    if isinstance(value, dict):
        return {name: concealed(f"{key}.{name}", inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [concealed(key, inner) for inner in value]
    if not isinstance(value, str):
        return value
    return without_secrets(value)


def in_the_open(leaves: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Of settings as dotted keys, those that hold a secret itself and no reference to one."""
    return {key: value for key, value in leaves if value and concealed(key, value) != value}


def as_variables(settings: Mapping[str, Any], prefix: str) -> dict[str, str]:
    """Settings as environment variables, as a child process reads them.

    >>> as_variables({"kafka.options": {"sasl.password": "x"}, "clickhouse.url": "u"}, "DRIFTLINE_")
    {'DRIFTLINE_KAFKA__OPTIONS': '{"sasl.password": "x"}', 'DRIFTLINE_CLICKHOUSE__URL': 'u'}
    """
    return {
        prefix + key.upper().replace(".", "__"): value if isinstance(value, str) else json.dumps(value)
        for key, value in settings.items()
    }


def _refers(value: Any) -> bool:
    return str(value).startswith(("env:", "file:"))
