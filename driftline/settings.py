"""Settings: `driftline.toml`, then the environment (`DRIFTLINE_KAFKA__BOOTSTRAP=...`), then flags; the last word wins.

Every key has a default that makes a laptop work with nothing installed: an empty address means the embedded part.
Unknown keys are refused with the nearest name. Secrets are references, ``env:NAME`` or ``file:PATH``.
"""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec
import tomlkit
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import (
    SettingsError as SourceError,
)

from driftline.secrets import as_variables, concealed, in_the_open
from driftline.settings_schema import (
    ClickHouse,
    Kafka,
    Monitor,
    Page,
    Roles,
    SchemaRegistry,
    Score,
    Section,
    Sink,
    WatchTopic,
)
from driftline.watch_settings import KEYS as WATCH_KEYS
from driftline.watch_settings import WatchError, watch_of
from driftline.watch_settings import defaults as watch_defaults
from streams.kafka.topics import NAMES
from streams.names import check_registry

FILE = "driftline.toml"
PREFIX = "DRIFTLINE_"

#: Variables that are no settings.
_OTHER = {"DRIFTLINE_SETTINGS", "DRIFTLINE_CACHE_DIR", "DRIFTLINE_MAVEN_URL", "DRIFTLINE_PARENT"}


class SettingsError(ValueError):
    """Settings that cannot hold; the text names the key, its origin and the remedy."""


def _folder(value: Any) -> Any:
    if not str(value).strip():
        raise ValueError("it names no folder; leave it out, or name one, say '.driftline'")
    return value


class Settings(BaseSettings):
    """All of it; made by `load`, which alone reads files and the environment."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    data_dir: Annotated[Path, BeforeValidator(_folder)] = Field(
        Path(".driftline"), description="embedded broker and store, logs, what is running"
    )
    registry: Annotated[str, AfterValidator(check_registry)] = Field(
        "models", description="folder or object-store prefix with the model packages"
    )
    kafka: Kafka = Kafka()
    clickhouse: ClickHouse = ClickHouse()
    page: Page = Page()
    roles: Roles = Roles()
    schema_registry: SchemaRegistry = SchemaRegistry()
    score: Score = Score()
    monitor: Monitor = Monitor()
    sink: Sink = Sink()
    watch: dict[str, Any] = Field({}, description="how a model is watched from its first route on")

    watch_topics: list[WatchTopic] = Field([], description="topics that somebody else fills, one table each")

    @model_validator(mode="after")
    def _strangers(self) -> Self:
        formats: dict[str, str] = {}
        for n, watched in enumerate(self.watch_topics):
            if not self.kafka.prefix and watched.topic in NAMES:
                raise ValueError(
                    f"watch_topics.{n}.topic: {watched.topic} is a name of ours; set kafka.prefix, say 'drift.'"
                )
            if self.kafka.prefix and watched.topic.startswith(self.kafka.prefix):
                raise ValueError(
                    f"watch_topics.{n}.topic: {watched.topic} begins with kafka.prefix, as topics of ours do"
                )
            if formats.setdefault(watched.topic, watched.format) != watched.format:
                raise ValueError(
                    f"watch_topics.{n}.format: {watched.topic} was {formats[watched.topic]} above; give it one format"
                )
        return self

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """What ``repr`` shows: never a secret."""
        return ((name, concealed(str(name), value)) for name, value in super().__repr_args__())

    @classmethod
    def settings_customise_sources(  # type: ignore[override]
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        **_: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` hands over."""
        return (init_settings,)

    @property
    def embedded_kafka(self) -> bool:
        """True where no cluster is named."""
        return not self.kafka.bootstrap

    @property
    def embedded_store(self) -> bool:
        """True where no ClickHouse is named."""
        return not self.clickhouse.url


def load(flags: Mapping[str, Any] | None = None, file: Path | None = None) -> Settings:
    """Read the settings.

    Parameters
    ----------
    flags
        Dotted keys from the command line; None values are not given.
    file
        A TOML file; default ``$DRIFTLINE_SETTINGS``, else `driftline.toml` if it is there.

    Raises
    ------
    SettingsError
        An unknown key, a wrong value, a file that is not there.

    >>> load({"kafka.bootstrap": "broker:9092"}).embedded_kafka
    False
    >>> load({"kafka.bootstrapp": "broker:9092"})
    Traceback (most recent call last):
    driftline.settings.SettingsError: flag: kafka.bootstrapp is no setting; did you mean kafka.bootstrap?
    """
    merged: dict[str, Any] = {}
    for _, layer in layers(flags, file):
        for key, value in layer.items():
            _put(merged, key, value)
    try:
        watch_of(merged.get("watch", {}))
        return Settings(**merged)
    except ValidationError as error:
        raise SettingsError(_first(error)) from None
    except WatchError as error:
        raise SettingsError(str(error)) from None


def layers(flags: Mapping[str, Any] | None = None, file: Path | None = None) -> list[tuple[str, dict[str, Any]]]:
    """Origin and dotted keys of every layer, weakest first."""
    path = _file(file)
    try:
        written = TomlConfigSettingsSource(Settings, path)() if path else {}
        exported = EnvSettingsSource(Settings)()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, SourceError) as error:
        raise SettingsError(f"{path or 'environment'}: {error}; mend it") from None
    exported |= dict.fromkeys(_strange_variables(), "")
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    by_origin = [
        (str(path), dict(_flatten(written))),
        ("environment", dict(_flatten(exported))),
        ("flag", dict(_flatten(given))),
    ]
    for origin, layer in by_origin:
        for key in layer:
            _known(origin, key)
    return by_origin


def origins(flags: Mapping[str, Any] | None = None, file: Path | None = None) -> list[tuple[str, Any, str]]:
    """Every setting with its value and where that came from."""
    settings = load(flags, file)
    came = {key: origin for origin, layer in layers(flags, file) for key in layer}
    return [(key, value, came.get(key, "default")) for key, value in _leaves(settings)]


def dump(settings: Settings) -> str:
    """Write settings as TOML, but for those that hold a secret in the open: `environ` hands them on."""
    written = settings.model_dump(mode="json", exclude_none=True)
    for key in in_the_open(_flatten(written)):
        *sections, last = key.split(".", 1)
        (written[sections[0]] if sections else written).pop(last)
    return tomlkit.dumps(written | {"data_dir": str(settings.data_dir.absolute())})


def environ(file: Path, settings: Settings) -> dict[str, str]:
    """Environment for a child process that reads its settings from a file that `dump` wrote, and from nowhere else.

    Parameters
    ----------
    file
        What `dump` wrote.
    settings
        Those of them that hold a secret in the open are variables: a process's environment is its user's alone.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX) or name in _OTHER}
    secrets = in_the_open(_flatten(settings.model_dump(mode="json", exclude_none=True)))
    return kept | as_variables(secrets, PREFIX) | {"DRIFTLINE_SETTINGS": str(file)}


def describe() -> Iterator[tuple[str, str]]:
    """Every setting's key and description."""
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if name == "watch":
            yield from ((f"watch.{key}", text) for key, text in WATCH_KEYS.items())
        elif isinstance(section, type) and issubclass(section, Section):
            yield from ((f"{name}.{key}", inner.description or "") for key, inner in section.model_fields.items())
        else:
            yield name, field.description or ""


def _leaves(settings: Settings) -> Iterator[tuple[str, Any]]:
    watch = msgspec.to_builtins(watch_of(settings.watch))
    # As `drift.reference.tolerances` reads them.
    watch["tolerances"] = watch_defaults()["tolerances"] | watch["tolerances"]
    for key, _ in describe():
        section, _, name = key.rpartition(".")
        value: Any = watch[name] if section == "watch" else settings
        for part in key.split(".") if section != "watch" else ():
            value = getattr(value, part)
        yield key, value


def _file(named: Path | None) -> Path | None:
    if named is None and "DRIFTLINE_SETTINGS" in os.environ:
        named = Path(os.environ["DRIFTLINE_SETTINGS"])
    if named is not None and not named.exists():
        raise SettingsError(f"settings file {named} is not there; make it or leave the option out")
    if named is not None and not named.is_file():
        raise SettingsError(f"settings file {named} is a folder; name the file in it")
    return named or (Path(FILE) if Path(FILE).exists() else None)


def _strange_variables() -> list[str]:
    """Variables with our prefix that name no section or key: the library would pass over them in silence."""
    ours = [name.removeprefix(PREFIX).lower() for name in os.environ if name.startswith(PREFIX) and name not in _OTHER]
    first = {name.split("__")[0] for name in ours if not name.startswith("test_")}
    return sorted(first - set(Settings.model_fields))


def _flatten(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        path = f"{before}{key}"
        if isinstance(value, dict) and path in _sections():
            yield from _flatten(value, f"{path}.")
        else:
            yield path, value


def _sections() -> set[str]:
    return {"watch"} | {
        name
        for name, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
    }


def _known(origin: str, key: str) -> None:
    names = [name for name, _ in describe()]
    if key in names:
        return
    near = difflib.get_close_matches(key, names, 1, 0.5)
    raise SettingsError(
        f"{origin}: {key} is no setting; " + (f"did you mean {near[0]}?" if near else "see `settings show`")
    )


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    for part in path:
        tree = tree.setdefault(part, {})
    tree[last] = value


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden" and first["loc"][0] == "watch_topics":
        near = difflib.get_close_matches(str(first["loc"][-1]), WatchTopic.model_fields, 1, 0.5)
        known = f"did you mean {near[0]}?" if near else f"its keys are {', '.join(WatchTopic.model_fields)}"
        return f"{key} is no setting; {known}"
    if first["type"] == "value_error":
        return f"{key}: {first['ctx']['error']}".removeprefix(": ")
    return f"{key}: {first['msg']}, got {concealed(key, first['input'])!r}"
