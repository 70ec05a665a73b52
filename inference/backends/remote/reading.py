"""Reads a `remote.toml`: unknown keys are refused with the nearest name, and what contradicts the `model.toml`."""

import tomllib
from pathlib import Path
from typing import Any, get_args

import msgspec

from inference.backends.errors import ArtefactError
from inference.backends.remote.remote_toml import HttpMapping, Input, Output, Protocol, RemoteModel
from inference.packages.model_toml import ModelPackage, nearest

#: A file that is larger is no `remote.toml`.
BYTES_MAX = 262_144


def read_remote(file: Path) -> RemoteModel:
    """Read a `remote.toml`.

    Raises
    ------
    ArtefactError
        No TOML, an unknown key (the nearest one is named), a value that contradicts another.
    """
    with file.open("rb") as opened:
        text = opened.read(BYTES_MAX + 1)
    if len(text) > BYTES_MAX:
        raise ArtefactError(f"{file}: it is larger than {BYTES_MAX:,} bytes; it names a server, and holds no model")
    try:
        tree = tomllib.loads(text.decode())
        _refuse_unknown_keys(tree)
        return msgspec.convert(tree, RemoteModel)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ArtefactError(f"{file}: {error}") from error
    except (ArtefactError, msgspec.ValidationError) as error:
        what, _, where = str(error).partition(" - at `$.")
        key = where.rstrip("`")
        raise ArtefactError(f"{file}: {key}: {what}" if key else f"{file}: {what}") from error


def fit(remote: RemoteModel, package: ModelPackage, file: Path) -> None:
    """Refuse a `remote.toml` that contradicts its `model.toml`.

    Parameters
    ----------
    remote, package
        What they say.
    file
        What a refusal calls the former.

    Raises
    ------
    ArtefactError
        A tensor is of a column that the model lacks, or a call may take longer than the model's.
    """
    names = package.schema.names
    for n, tensor in enumerate(remote.inputs):
        for name in tensor.columns:
            if name not in names:
                raise ArtefactError(f"{file}: inputs[{n}].columns: {name!r} is no input{nearest(name, names)}")
    call_ms_max = 1000 * package.limits.call_s_max
    if 2 * remote.deadline_ms > call_ms_max:  # a server that sends a byte at a time doubles it
        raise ArtefactError(
            f"{file}: deadline_ms {remote.deadline_ms}: at most half of limits.call_s_max, which ends the process; "
            f"make it {call_ms_max / 2:.0f}, or raise that in model.toml"
        )


def _refuse_unknown_keys(tree: dict[str, Any]) -> None:
    tables: list[tuple[str, Any, tuple[str, ...]]] = [("", tree, RemoteModel.__struct_fields__)]
    tables.append(("http.", tree.get("http"), HttpMapping.__struct_fields__))
    for key, kind in (("inputs", Input), ("outputs", Output)):
        listed = tree.get(key)
        if isinstance(listed, list):
            tables += [(f"{key}[{n}].", table, kind.__struct_fields__) for n, table in enumerate(listed)]
    for where, table, known in tables:
        for key in table if isinstance(table, dict) else ():
            if key not in known:
                raise ArtefactError(f"unknown key {where}{key}{nearest(key, known)}")
    named = tree.get("protocol")
    if isinstance(named, str) and named not in get_args(Protocol):
        raise ArtefactError(f"protocol {named!r}{nearest(named, get_args(Protocol))}")
