"""What of an address may be said: logs, pages and errors name a server, and never the password or token in its URL."""

import re

HIDDEN = "***"
# Up to the last @ before the path of the next address: a password may hold any of /:@ though it should not.
_IN_ADDRESS = re.compile(r"(?<=://)([^:/@\s]*):(\S+)@")
_IN_QUERY = re.compile(
    r"([?&;][\w.-]*(?:password|passwd|secret|token|api_?key|access_?key|signature|sig|credential)[\w.-]*=)[^&;\s'\"]+",
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """An address, or a text with addresses in it, without passwords and tokens.

    >>> without_secrets("https://me:secret@host/models?token=abc&x=1: connection refused")
    'https://me:***@host/models?token=***&x=1: connection refused'
    >>> without_secrets("/srv/models")
    '/srv/models'
    """
    return _IN_QUERY.sub(rf"\1{HIDDEN}", _IN_ADDRESS.sub(rf"\1:{HIDDEN}@", text))
