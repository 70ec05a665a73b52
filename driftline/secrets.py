"""Which settings are secrets; none is ever printed."""

import re
from typing import Any

#: librdkafka's options that are secrets.
KAFKA_OPTIONS = ("sasl.password", "ssl.key.password", "ssl.keystore.password", "sasl.oauthbearer.client.secret")
_IN_ADDRESS = re.compile(r"(?<=://)([^:/@\s]*):([^@/\s]+)@")
_HIDDEN = "***"


def concealed(key: str, value: Any) -> Any:
    """A setting with its secrets left out; references to secrets stay, they are none.

    >>> concealed("kafka.options", {"sasl.password": "secret", "sasl.username": "me", "ssl.key.password": "env:KEY"})
    {'sasl.password': '***', 'sasl.username': 'me', 'ssl.key.password': 'env:KEY'}
    >>> concealed("monitor.notify", ["json://me:secret@host/", "env:ONCALL_URL", "slack://token-a/token-b"])
    ['json:***', 'env:ONCALL_URL', 'slack:***']
    """
    if isinstance(value, dict):
        return {
            name: _HIDDEN if name in KAFKA_OPTIONS and not _refers(v) else concealed(key, v)
            for name, v in value.items()
        }
    if key == "monitor.notify":  # Any part of such an address may be a token.
        return [address if _refers(address) else f"{str(address).partition(':')[0]}:{_HIDDEN}" for address in value]
    if key.endswith(".password") and value and not _refers(value):
        return _HIDDEN
    return _IN_ADDRESS.sub(rf"\1:{_HIDDEN}@", value) if isinstance(value, str) else value


def _refers(value: Any) -> bool:
    return str(value).startswith(("env:", "file:"))
