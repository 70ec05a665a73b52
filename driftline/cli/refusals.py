"""What a command says when it cannot do what it was asked: one line that names what, where and the remedy.

A fault of ours keeps its trace: nobody but us can mend it.
"""

import errno

_OURS = ("driftline", "streams", "inference", "drift", "dashboards")
#: Libraries whose exceptions describe bad input or an absent server, and what stands before their text.
_THEIRS = {
    "pyarrow": "the table cannot be read",
    "pandas": "the table cannot be read",
    "requests": "nobody answers",
    "urllib3": "nobody answers",
    "clickhouse_driver": "ClickHouse refused",
}
#: Errors of ours that say so; named, because to import them costs more than the command that failed.
_PASSING = ("drift.store.client.StoreUnavailable", "driftline.broker.errors.BrokerError")


def passes(error: BaseException) -> bool:
    """Whether the same may succeed a moment later: somebody does not answer yet, or a disk is full.

    A role that ends of it is started again; one that refuses what it was given is not.

    >>> passes(TimeoutError()), passes(OSError(errno.ENOSPC, "full")), passes(FileNotFoundError(2, "no", "x"))
    (True, True, False)
    """
    name = f"{type(error).__module__}.{type(error).__name__}"
    if name.startswith(("cimpl.", "urllib3.", "requests.")) or name in _PASSING:
        return True
    return isinstance(error, TimeoutError | ConnectionError) or (
        isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.EMFILE)
    )


def refusal(error: BaseException) -> str | None:
    """One line about an error that the user can mend; None for one that only we can.

    >>> refusal(FileNotFoundError(2, "No such file or directory", "today.csv"))
    'today.csv: no such file or directory; mend the path'
    >>> refusal(ModuleNotFoundError("No module named 'dash'", name="dash"))
    "the package dash is not installed; pip install 'driftline[all]'"
    >>> refusal(KeyError("id"))
    """
    library = type(error).__module__.split(".")[0]
    if library in _OURS:
        return str(error)
    if library == "cimpl":  # confluent_kafka
        text = error.args[0].str() if error.args and hasattr(error.args[0], "str") else str(error)
        return f"Kafka: {text}; `driftline doctor` says what is wrong"
    if isinstance(error, ModuleNotFoundError) and error.name and error.name.split(".")[0] not in _OURS:
        return f"the package {error.name.split('.')[0]} is not installed; pip install 'driftline[all]'"
    if isinstance(error, UnicodeDecodeError):
        return f"the file is no text in UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8"
    if isinstance(error, OSError) and library == "builtins":
        return _file(error)
    if library in _THEIRS:
        return f"{_THEIRS[library]}: {_first_line(error)}"
    return None


def _file(error: OSError) -> str:
    remedies = {
        errno.EACCES: "mend its permissions, or name another",
        errno.EPERM: "mend its permissions, or name another",
        errno.ENOSPC: "make room, or name another place",
        errno.EADDRINUSE: "set another port",
        errno.EROFS: "name a place that can be written",
    }
    remedy = remedies.get(error.errno or 0, "mend the path")
    if error.filename is None:
        return f"{_first_line(error)}; {remedy}"
    text = (error.strerror or "cannot be used").lower()
    return f"{error.filename}: {text}; {remedy}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
