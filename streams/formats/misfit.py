"""What of a record does not fit its type, and where: found by us, on the way of refusals alone.

A decoder says in one sentence that a record does not fit. The place is not read out of that sentence: the record is
taken apart, a field after the other, and each part is checked by itself until the smallest that does not fit is found.
The sentence about that part is the decoder's; nothing is derived from it.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache, reduce
from operator import or_
from types import UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec
from msgspec import UnsetType

from streams.formats.record_parts import JSON, OBJECTS, Form
from streams.formats.request_types import Reader, Renaming, truth_misfit
from streams.wire.refusals import Refused

#: The field that says which of several structs an object is.
_TAG = "type"


def misfit(reader: Reader, value: Any, error: msgspec.ValidationError, form: Form = JSON) -> Refused:
    """Say which part of a record does not fit, and how.

    Parameters
    ----------
    reader
        What reads such records.
    value
        The record: bytes of JSON, or a plain object.
    error
        What the reader said of the whole; kept where no part is at fault by itself.
    form
        Whether the record is JSON or a plain object.

    >>> class Person(msgspec.Struct):
    ...     age: float
    >>> error = msgspec.ValidationError("it does not fit")
    >>> misfit(msgspec.json.Decoder(Person), b'{"age": "x"}', error).args
    ('wrong_type', '$.age', 'Expected `float`, got `str`')
    """
    refused = None
    try:
        if isinstance(reader, Renaming):
            plain = msgspec.json.decode(value) if form is JSON else value
            refused = _search(reader.renamed(plain), reader.type, OBJECTS, "$")
        else:
            refused = _search(value, reader.type, form, "$")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass  # Broken behind the part at fault, so it cannot be taken apart.
    refused = refused or Refused("wrong_type", "$", str(error))
    return reader.restored(refused) if isinstance(reader, Renaming) else refused


def _search(value: Any, kind: Any, form: Form, path: str) -> Refused | None:
    """Refuse the first part at fault; None where all of it fits."""
    for part, part_kind, part_path in _parts(value, kind, form, path):
        if not _fits(part, part_kind, form):
            return _search(part, part_kind, form, part_path)
    missing = _missing(value, kind, form)
    if missing:
        return Refused("missing_field", f"{path}.{missing}", f"Object missing required field `{missing}`")
    try:
        form.explain(value, kind)
    except msgspec.ValidationError as error:
        got = form.kind(value)
        return truth_misfit(kind, path, got) or Refused("wrong_type", path, str(error), got)
    return None


def _fits(value: Any, kind: Any, form: Form) -> bool:
    try:
        form.check(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _parts(value: Any, kind: Any, form: Form, path: str) -> Iterator[tuple[Any, Any, str]]:
    """Parts of an object or an array, in its order, each with its type and place; none where the type has no parts."""
    got, struct = form.kind(value), _struct(value, kind, form)
    if got == "object" and struct is not None:
        declared = _fields(struct)
        for name, part in form.fields(value).items():
            if name in declared:
                yield part, declared[name].kind, f"{path}.{name}"
    elif got == "object" and (tags := _tags(kind)) is not None and _TAG in (fields := form.fields(value)):
        yield fields[_TAG], tags, f"{path}.{_TAG}"
    elif got == "array" and struct is not None:
        for n, (part, field) in enumerate(zip(form.items(value), _fields(struct).values(), strict=False)):
            yield part, field.kind, f"{path}[{n}]"
    elif got == "object" and (values := _arguments(kind, dict)):
        yield from ((part, values[1], f"{path}[...]") for part in form.fields(value).values())
    elif got == "array" and (items := _arguments(kind, list)):
        yield from ((part, items[0], f"{path}[{n}]") for n, part in enumerate(form.items(value)))


def _missing(value: Any, kind: Any, form: Form) -> str:
    """The first required field that an object has not; empty where it has all."""
    structs = _structs(kind, form.kind(value))
    if not structs or form.kind(value) != "object":
        return ""
    fields, struct = form.fields(value), _struct(value, kind, form)
    if struct is None:
        return "" if _TAG in fields else _TAG
    return next((name for name, field in _fields(struct).items() if field.required and name not in fields), "")


class _Field(NamedTuple):
    kind: Any
    required: bool


@lru_cache(maxsize=1024)
def _fields(struct: type) -> Mapping[str, _Field]:
    """Fields of a struct by the names that they are written with, without the mark that they may be left out."""
    fields = {}
    for field in msgspec.structs.fields(struct):
        kinds = tuple(kind for kind in _members(field.type) if kind is not UnsetType)
        fields[field.encode_name] = _Field(reduce(or_, kinds), field.required)
    return fields


def _structs(kind: Any, written_as: str) -> list[type[msgspec.Struct]]:
    """The structs of a type that are written as an object, or as an array."""
    return [
        member
        for member in _members(kind)
        if isinstance(member, type)
        and issubclass(member, msgspec.Struct)
        and written_as == ("array" if member.__struct_config__.array_like else "object")
    ]


def _struct(value: Any, kind: Any, form: Form) -> type[msgspec.Struct] | None:
    """The struct that a value should be; of several the one whose tag it has."""
    structs = _structs(kind, form.kind(value))
    if len(structs) < 2:
        return structs[0] if structs else None
    tag = form.fields(value).get(_TAG)
    return next((s for s in structs if tag is not None and _fits(tag, Literal[s.__struct_config__.tag], form)), None)


def _tags(kind: Any) -> Any:
    """The type of the field that names one of several structs; None where there is one, or none."""
    structs = _structs(kind, "object")
    return Literal[tuple(struct.__struct_config__.tag for struct in structs)] if len(structs) > 1 else None


def _arguments(kind: Any, origin: type) -> tuple[Any, ...]:
    """What a list or a dict of a type holds."""
    return next((get_args(member) for member in _members(kind) if get_origin(member) is origin), ())


def _members(kind: Any) -> tuple[Any, ...]:
    """Types of a union; a type alone is one."""
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
