"""Settings: `driftline.toml`, then the environment (`DRIFTLINE_KAFKA__BOOTSTRAP=...`), then flags; the last word wins.

Every key has a default that makes a laptop work with nothing installed: an empty address means the embedded part.
Unknown keys are refused with the nearest name. Secrets are references, ``env:NAME`` or ``file:PATH``.
"""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
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

from streams.topics import NAMES

FILE = "driftline.toml"
PREFIX = "DRIFTLINE_"

#: Variables that are no settings.
_OTHER = {"DRIFTLINE_SETTINGS", "DRIFTLINE_CACHE_DIR", "DRIFTLINE_MAVEN_URL", "DRIFTLINE_PARENT"}


class SettingsError(ValueError):
    """Settings that cannot hold; the text names the key, its origin and the remedy."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class Kafka(_Section):
    """Where the log is."""

    bootstrap: str = Field("", description="host:port of your cluster; empty starts the embedded broker")
    port: int = Field(39092, description="port of the embedded broker")
    prefix: str = Field("", description="stands before every topic, group and transactional id")
    options: dict[str, str] = Field({}, description="librdkafka properties, passed through (TLS, SASL)")
    group_protocol: Literal["auto", "consumer", "classic"] = Field(
        "auto", description="consumer needs Kafka 4.0; auto is consumer on the embedded broker, else classic"
    )
    transaction_timeout_ms: int | None = Field(
        None, description="how long readers may hang behind a dead writer; default 5 s embedded, 10 s else"
    )
    partitions_requests: int = Field(4, ge=1, description="partitions of requests, predictions, observations, feedback")
    partitions_model: int = Field(1, ge=1, description="partitions of the topics keyed by model")
    replicas: int = Field(1, ge=1, description="replicas of the topics that we create")
    retention_ms: int | None = Field(None, description="how long the event topics keep; default 7 days")
    accept_gap: bool = Field(False, description="go on where retention has taken unread records")


class ClickHouse(_Section):
    """Where the statistics are kept."""

    url: str = Field("", description="clickhouse://user@host:9000/database; empty starts the embedded engine")
    password: str = Field("", description="reference to the password: env:NAME or file:PATH")
    port: int = Field(39000, description="port of the embedded engine's native protocol")
    database: str = Field("driftline", description="database of this deployment")
    flavour: Literal["embedded", "single", "cluster"] | None = Field(None, description="schema; default by url")


class Page(_Section):
    """The built-in page."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(38080, description="port to listen on")
    status_urls: list[str] = Field([], description="roles' /status addresses to show; `up` fills them in")


class Roles(_Section):
    """The processes of `driftline up`."""

    workers: int = Field(1, ge=1, description="worker processes")
    port: int = Field(38090, description="first port of the roles' own HTTP (health, metrics, status)")
    host: str = Field("127.0.0.1", description="address the roles' own HTTP listens on")


class Score(_Section):
    """The worker."""

    format: Literal["auto", "json", "avro", "packed", "arrow"] = Field(
        "auto", description="what requests are written in; auto looks at each (packed only by its content-type)"
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1...")
    turn_rows_max: int = Field(5_000, ge=1, description="records of one settlement at the most")
    trust_code: bool = Field(False, description="load Python classes from a registry that is not a local folder")


class Monitor(_Section):
    """The monitor."""

    idle_after_ms: int = Field(10_000, ge=100, description="a silent partition leaves the watermark after this long")
    watch_from: Literal["earliest", "latest"] = Field(
        "earliest", description="where a topic of `watch_topics` that was never read begins"
    )
    asleep_after_ms: int = Field(
        50_000, ge=100, description="when all partitions stay idle for so long, windows that are open close"
    )
    snapshot_interval_ms_max: int = Field(60_000, ge=1_000, description="how often the judge's state is written")
    join_every_ms: int = Field(500, ge=0, description="how often labels are joined")
    join_rows_max: int = Field(20_000, ge=1, description="labels joined at a time, at the most")
    prediction_wait_ms_max: int = Field(600_000, ge=0, description="how long a label waits for its prediction")
    notify: list[str] = Field([], description="Apprise addresses (or env:/file: references) that pages are sent to")


class Sink(_Section):
    """What writes to the store."""

    rows_max: int = Field(20_000, ge=1, description="records of one insert at the most")
    wait_ms_max: int = Field(500, ge=1, description="how long a record waits for its insert")


class SchemaRegistry(_Section):
    """Where the schemas of Avro records are."""

    url: str = Field("", description="http(s)://host:8081 of a Confluent Schema Registry; empty refuses Avro")
    user: str = Field("", description="user of its basic authentication")
    password: str = Field("", description="reference to the password: env:NAME or file:PATH")

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("write the address with http:// or https:// before it")
        return url


class WatchTopic(_Section):
    """A topic that somebody else fills with features and predictions, or with labels; see `drift.watching.Mapping`."""

    topic: str = Field(description="its name on the cluster; the prefix does not stand before it")
    format: Literal["auto", "json", "avro"] = Field("auto", description="what its records are written in")
    model: str = Field("", description="whose predictions they are")
    version: str = Field("v1", description="of which version")
    reference: Path | None = Field(None, description="file of `driftline reference build`; else the registry's")
    id: str = Field("", description="path of the prediction's id")
    ts: str = Field("", description="path of the event time; else Kafka's")
    score: str = Field("", description="path of the score")
    prediction: str = Field("", description="path of the predicted class")
    label: str = Field("", description="path of the label")
    label_ts: str = Field("", description="path of the label's time")
    features: str = Field("$", description="path of the object with the features")
    columns: dict[str, str] = Field({}, description="paths of features that lie elsewhere")
    where: dict[str, str] = Field({}, description="path to text: which records are meant")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        predicts = self.score or self.prediction
        if not (predicts or self.label):
            raise ValueError("name score or prediction, or label: else there is nothing to watch")
        if predicts and not self.model:
            raise ValueError("name the model whose predictions these are")
        if self.label and not (predicts or self.id):
            raise ValueError("name id: a label says by it whose it is")
        return self

    def __str__(self) -> str:
        given = {name: value for name, value in self if name in self.model_fields_set}
        return f"({', '.join(f'{name}={str(value)!r}' for name, value in given.items())})"

    __repr__ = __str__


class Settings(BaseSettings):
    """All of it; made by `load`, which alone reads files and the environment."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    data_dir: Path = Field(Path(".driftline"), description="embedded broker and store, logs, what is running")
    registry: str = Field("models", description="folder or object-store prefix with the model packages")
    kafka: Kafka = Kafka()
    clickhouse: ClickHouse = ClickHouse()
    page: Page = Page()
    roles: Roles = Roles()
    schema_registry: SchemaRegistry = SchemaRegistry()
    score: Score = Score()
    monitor: Monitor = Monitor()
    sink: Sink = Sink()
    watch: dict[str, Any] = Field({}, description="defaults for watching a model; see streams.records.Watch")

    watch_topics: list[WatchTopic] = Field([], description="topics that somebody else fills, one table each")

    @model_validator(mode="after")
    def _strangers(self) -> Self:
        formats: dict[str, str] = {}
        for n, one in enumerate(self.watch_topics):
            if not self.kafka.prefix and one.topic in NAMES:
                raise ValueError(
                    f"watch_topics.{n}.topic: {one.topic} is a name of ours; set kafka.prefix, say 'drift.'"
                )
            if self.kafka.prefix and one.topic.startswith(self.kafka.prefix):
                raise ValueError(f"watch_topics.{n}.topic: {one.topic} begins with kafka.prefix, as topics of ours do")
            if formats.setdefault(one.topic, one.format) != one.format:
                raise ValueError(
                    f"watch_topics.{n}.format: {one.topic} was {formats[one.topic]} above; give it one format"
                )
        return self

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
        return Settings(**merged)
    except ValidationError as error:
        raise SettingsError(_first(error)) from None


def layers(flags: Mapping[str, Any] | None = None, file: Path | None = None) -> list[tuple[str, dict[str, Any]]]:
    """Origin and dotted keys of every layer, weakest first."""
    path = _file(file)
    try:
        written = TomlConfigSettingsSource(Settings, path)() if path else {}
        exported = EnvSettingsSource(Settings)()
    except (tomllib.TOMLDecodeError, SourceError) as error:
        raise SettingsError(f"{path or 'environment'}: {error}; mend it") from None
    exported |= dict.fromkeys(_strange_variables(), "")
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    found = [(str(path), dict(_flatten(written))), ("environment", dict(_flatten(exported))), ("flag", given)]
    for origin, layer in found:
        for key in layer:
            _known(origin, key)
    return found


def origins(flags: Mapping[str, Any] | None = None, file: Path | None = None) -> list[tuple[str, Any, str]]:
    """Every setting with its value and where that came from."""
    settings = load(flags, file)
    came = {key: origin for origin, layer in layers(flags, file) for key in layer}
    return [(key, value, came.get(key, "default")) for key, value in _leaves(settings)]


def dump(settings: Settings) -> str:
    """Write settings as TOML; secrets are references and stay so."""
    said = settings.model_dump(mode="json", exclude_none=True)
    return tomlkit.dumps(said | {"data_dir": str(settings.data_dir.absolute())})


def environ(file: Path) -> dict[str, str]:
    """Environment for a child process that reads its settings from a file, and from nowhere else."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX) or name in _OTHER}
    return kept | {"DRIFTLINE_SETTINGS": str(file)}


def describe() -> Iterator[tuple[str, str]]:
    """Every setting's key and description."""
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, _Section):
            yield from ((f"{name}.{key}", inner.description or "") for key, inner in section.model_fields.items())
        else:
            yield name, field.description or ""


def _leaves(settings: Settings) -> Iterator[tuple[str, Any]]:
    for key, _ in describe():
        value: Any = settings
        for part in key.split("."):
            value = getattr(value, part)
        yield key, value


def _file(named: Path | None) -> Path | None:
    if named is None and "DRIFTLINE_SETTINGS" in os.environ:
        named = Path(os.environ["DRIFTLINE_SETTINGS"])
    if named is not None and not named.exists():
        raise SettingsError(f"settings file {named} is not there; make it or leave the option out")
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
    return {
        name
        for name, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, _Section)
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
    told = error.errors()[0]
    key = ".".join(str(part) for part in told["loc"])
    if told["type"] == "extra_forbidden" and told["loc"][0] == "watch_topics":
        near = difflib.get_close_matches(str(told["loc"][-1]), WatchTopic.model_fields, 1, 0.5)
        known = f"did you mean {near[0]}?" if near else f"its keys are {', '.join(WatchTopic.model_fields)}"
        return f"{key} is no setting; {known}"
    if told["type"] == "value_error":
        return f"{key}: {told['ctx']['error']}".removeprefix(": ")
    return f"{key}: {told['msg']}, got {told['input']!r}"
