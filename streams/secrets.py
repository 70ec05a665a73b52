"""References to secrets: ``env:NAME`` and ``file:PATH`` stand in settings and packages, and no secret does."""

import os
from pathlib import Path


class SecretError(ValueError):
    """A reference to a secret that leads nowhere; the text names it, never a value."""


def is_reference(value: str) -> bool:
    """Whether a value says where a secret is, and is none.

    >>> is_reference("env:CHURN_KEY"), is_reference("file:/run/secrets/churn"), is_reference("hunter2")
    (True, True, False)
    """
    return value.startswith(("env:", "file:"))


def open_reference(value: str) -> str:
    """Resolve ``env:NAME`` and ``file:PATH``; any other text is itself.

    Raises
    ------
    SecretError
        The variable or file is not there; the text names it, never a value.
    """
    if value.startswith("env:"):
        secret = os.environ.get(value[4:])
        if secret is None:
            raise SecretError(f"secret {value}: the environment variable is not set; set it or change the reference")
        return secret
    if value.startswith("file:"):
        try:
            return Path(value[5:]).read_text().rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise SecretError(f"secret {value}: {why}; mend the path or its permissions") from None
    return value
