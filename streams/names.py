"""Names, checked where they enter: one grammar a kind of name.

A name becomes a folder of the registry, a key in Kafka, a part of a table's name, a line in a terminal and a link on
the page, so it is checked once, on its way in: in `model.toml`, in the settings, on the command line, in a record.

=============  =====================================================================================================
kind           grammar
=============  =====================================================================================================
model          1 to 100 letters, digits, ``_`` and ``-``, beginning with a letter
version        1 to 100 letters, digits, ``.``, ``_`` and ``-``, beginning with a letter or digit
incident       a model's name, ``-``, and a number of up to nine digits
topic          1 to 249 letters, digits, ``.``, ``_`` and ``-``, not only dots: what Kafka takes
prefix         as a topic, up to 150 characters; it may be empty, and stands before groups and transactional ids too
column, class  1 to 256 characters of any script, none of them a control character
=============  =====================================================================================================
"""

import re
from typing import Literal

Kind = Literal["model", "version", "incident", "topic", "prefix", "column", "class"]

#: Where packages may lie: folders, and object stores or servers that keep files and run nothing.
REGISTRY_SCHEMES = frozenset(
    """
    file local memory s3 s3a gs gcs az abfs abfss adl oci oss hf r2 sftp ssh ftp smb hdfs webhdfs http https
    """.split()  # noqa: SIM905
)

# Control characters end lines, move a terminal's cursor, and stand in no name that a person typed.
_TEXT = re.compile("[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,256}")
_GRAMMARS: dict[Kind, tuple[re.Pattern[str], str]] = {
    "model": (
        re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}"),
        "use 1 to 100 letters, digits, _ and -, beginning with a letter",
    ),
    "version": (
        re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"),
        "use 1 to 100 letters, digits, '.', _ and -, as in v1",
    ),
    "incident": (
        re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}-[0-9]{1,9}"),
        "an incident is called by its model and a number, as in churn-2; `driftline incidents list` shows them",
    ),
    "topic": (
        re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,249}"),
        "Kafka takes 1 to 249 letters, digits, '.', _ and -",
    ),
    "prefix": (
        re.compile(r"(?:(?!\.+\Z)[A-Za-z0-9._-]{1,150})?"),
        "use up to 150 letters, digits, '.', _ and -, as in prod.",
    ),
    "column": (_TEXT, "use 1 to 256 characters without control characters; rename it"),
    "class": (_TEXT, "use 1 to 256 characters without control characters; rename it"),
}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


class NameRefused(ValueError):
    """A name that its grammar does not allow; the text says what kind of name, what came, and what to use."""


def rule(kind: Kind) -> str:
    """The grammar of a kind of name, in words.

    >>> rule("topic")
    "Kafka takes 1 to 249 letters, digits, '.', _ and -"
    """
    return _GRAMMARS[kind][1]


def check_name(kind: Kind, name: str) -> str:
    """Refuse a name that is none of its kind; returns it otherwise.

    Raises
    ------
    NameRefused
        The grammar of the kind does not allow it.

    >>> check_name("model", "fraud-eu"), check_name("prefix", "")
    ('fraud-eu', '')
    >>> check_name("version", "../evil/v1")
    Traceback (most recent call last):
    streams.names.NameRefused: version '../evil/v1': use 1 to 100 letters, digits, '.', _ and -, as in v1
    """
    if not is_name(kind, name):
        raise NameRefused(f"{kind} {name[:120]!r}: {_GRAMMARS[kind][1]}")
    return name


def is_name(kind: Kind, name: str) -> bool:
    """Whether a name is one of its kind."""
    return _GRAMMARS[kind][0].fullmatch(name) is not None


def check_registry(root: str) -> str:
    """Refuse an address that is no place for packages; returns it otherwise.

    Parameters
    ----------
    root
        A folder, or one address that fsspec understands. Addresses in several parts (``simplecache::s3://...``) are
        refused: they can name a local file, or code, behind another one's name.

    Raises
    ------
    NameRefused
        It has a scheme that keeps no packages, several parts, or a control character.

    >>> check_registry("s3://bucket/models"), check_registry("models")
    ('s3://bucket/models', 'models')
    >>> check_registry("reference://x")
    Traceback (most recent call last):
    streams.names.NameRefused: registry 'reference://x': 'reference' keeps no packages; name a folder or an object store, as in s3://bucket/models
    """  # noqa: E501
    remedy = "name a folder or an object store, as in s3://bucket/models"
    if not root or re.search("[\x00-\x1f\x7f]", root):
        raise NameRefused(f"registry {root[:120]!r}: it is empty or holds a control character; {remedy}")
    if "::" in root:
        raise NameRefused(f"registry {root[:120]!r}: an address in several parts (::) is not taken; {remedy}")
    scheme = _SCHEME.match(root)
    if scheme and scheme[1].lower() not in REGISTRY_SCHEMES:
        raise NameRefused(f"registry {root[:120]!r}: {scheme[1]!r} keeps no packages; {remedy}")
    return root
