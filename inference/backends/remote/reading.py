"""Reads a `remote.toml`: unknown keys are refused with the nearest name, and what contradicts the `model.toml`."""

import tomllib
from pathlib import Path
from typing import Any, get_args

import msgspec

from inference.backends.errors import ArtefactError
from inference.backends.remote.fallback import Fallback, FixedScore, fallback_to
from inference.backends.remote.remote_toml import (
    FALLBACK_AFTER_S,
    HttpMapping,
    Input,
    Output,
    Protocol,
    RemoteModel,
)
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
        A tensor is of a column that the model lacks, a call may take longer than the model's, or the model cannot have
        such a fallback.
    """
    fallback_of(remote, package, file)
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


def fallback_of(remote: RemoteModel, package: ModelPackage, file: Path) -> Fallback | None:
    """Who answers while a remote is away; None where its requests wait.

    Parameters
    ----------
    remote, package
        What its files say.
    file
        What a refusal calls the former.

    Raises
    ------
    ArtefactError
        The model cannot have such a fallback.
    """
    if remote.fallback is None:
        return None
    after_s = FALLBACK_AFTER_S if remote.fallback_after_s is None else remote.fallback_after_s
    try:
        return fallback_to(remote.fallback, after_s, package)
    except ArtefactError as error:
        raise ArtefactError(f"{file}: {error}") from None


def read_fallback(package: ModelPackage, folder: Path) -> Fallback | None:
    """Who answers while a version is away: None where it does not run elsewhere, or its requests wait.

    Raises
    ------
    ArtefactError
        Its `remote.toml` cannot be read, or contradicts the package.
    """
    if not package.artefact.endswith(".toml"):
        return None
    file = folder / package.artefact
    return fallback_of(read_remote(file), package, file)


def _refuse_unknown_keys(tree: dict[str, Any]) -> None:
    tables: list[tuple[str, Any, tuple[str, ...]]] = [("", tree, RemoteModel.__struct_fields__)]
    tables.append(("http.", tree.get("http"), HttpMapping.__struct_fields__))
    tables.append(("fallback.", tree.get("fallback"), FixedScore.__struct_encode_fields__))
    for key, kind in (("inputs", Input), ("outputs", Output)):
        listed = tree.get(key)
        if isinstance(listed, list):
            tables += [(f"{key}[{n}].", table, kind.__struct_fields__) for n, table in enumerate(listed)]
    for where, table, known in tables:
        for key in table if isinstance(table, dict) else ():
            if key not in known:
                raise ArtefactError(f"unknown key {where}{key}{nearest(key, known)}")
    fallback = tree.get("fallback", "")
    if not isinstance(fallback, str | dict):
        raise ArtefactError(
            f'fallback {fallback!r}: name a version of the model, as in "v1", or a fixed score, as in '
            "{ default = 0.5 }"
        )
    named = tree.get("protocol")
    if isinstance(named, str) and named not in get_args(Protocol):
        raise ArtefactError(f"protocol {named!r}{nearest(named, get_args(Protocol))}")
