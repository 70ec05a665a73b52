"""The sections of the settings: every key, its default, its bounds, and what it means.

`driftline.settings` reads them; `driftline settings show` prints them.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from driftline.durations import duration_ms
from driftline.secrets import concealed
from streams.formats.table import FormatSetting, RecordFormatSetting
from streams.names import Kind, check_name

#: A length of time; in a file as people write one ("15min"), here in ms.
Ms = Annotated[int, BeforeValidator(duration_ms)]
MaybeMs = Annotated[int | None, BeforeValidator(lambda value: None if value is None else duration_ms(value))]


def _named(kind: Kind) -> AfterValidator:
    # A partial, not a lambda: `docs/generate` reads the kind off it.
    return AfterValidator(partial(check_name, kind))


class Section(BaseModel):
    """A table of `driftline.toml`; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """What ``repr`` shows, in a trace or a debugger, say: never a secret."""
        section = type(self).__name__.lower()
        return ((name, concealed(f"{section}.{name}", value)) for name, value in super().__repr_args__())


class Kafka(Section):
    """Where the log is."""

    bootstrap: str = Field("", description="addresses of your cluster, host:port; empty starts the embedded broker")
    port: int = Field(19092, description="port of the embedded broker")
    prefix: Annotated[str, _named("prefix")] = Field(
        "", description="put before the name of every topic, group and transactional id"
    )
    options: dict[str, str] = Field({}, description="librdkafka properties, passed through (TLS, SASL)")
    group_protocol: Literal["auto", "consumer", "classic"] = Field(
        "auto", description="consumer needs Kafka 4.0; auto is consumer on the embedded broker, else classic"
    )
    transaction_timeout_ms: MaybeMs = Field(
        None, description="how long a dead writer may block readers; default 5 s on the embedded broker, else 10 s"
    )
    partitions_requests: int = Field(4, ge=1, description="partitions of requests, predictions, observations, feedback")
    partitions_model: int = Field(1, ge=1, description="partitions of the topics keyed by model")
    replicas: int = Field(1, ge=1, description="replicas of the topics that we create")
    retention_ms: MaybeMs = Field(None, description="how long the event topics keep records; default 7 days")
    accept_gap: bool = Field(
        False, description="continue where the broker has lost committed offsets, or snapshots are gone"
    )


class ClickHouse(Section):
    """Where the statistics are kept."""

    url: str = Field("", description="clickhouse://user@host:9000/database; empty starts the embedded engine")
    password: str = Field("", description="reference to the password: env:NAME or file:PATH")
    ca: str = Field("", description="file of the certificate authorities to trust; empty: the system's")
    port: int = Field(19000, description="port of the embedded engine's native protocol")
    database: str = Field("driftline", description="database of this deployment")
    flavour: Literal["embedded", "single", "cluster"] | None = Field(
        None, description="variant of the store's tables; by default it follows from the url"
    )


class Page(Section):
    """The built-in page."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(18080, description="port to listen on")
    status_urls: list[str] = Field(
        [], description="/status addresses of the roles that the page shows; `up` fills them in"
    )
    root_path: str = Field(
        "", description='path under which a proxy serves it, such as "/driftline"; empty for the root'
    )
    hosts: list[str] = Field(
        [], description="host names under which browsers reach it behind a proxy; others are refused"
    )

    @field_validator("root_path")
    @classmethod
    def _path(cls, path: str) -> str:
        if path and not re.fullmatch(r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+", path):
            raise ValueError('write it as "/driftline" or "/a/b": letters, digits, - _ . and no slash at its end')
        return path


class Roles(Section):
    """The processes of `driftline up`."""

    workers: int = Field(1, ge=1, description="worker processes")
    port: int = Field(18090, description="first port of the roles' own HTTP (health, metrics, status)")
    host: str = Field("127.0.0.1", description="address the roles' own HTTP listens on")


class Score(Section):
    """The worker."""

    format: FormatSetting = Field(
        "auto", description="format of requests; auto looks at each one (packed rows need their content-type header)"
    )
    device: str = Field(
        "auto",
        description="auto, cpu, cuda, cuda:1 ...; auto and cuda spread the workers over the devices",
    )
    turn_rows_max: int = Field(5_000, ge=1, description="most records of one micro-batch, which is one transaction")
    workers: list[Annotated[str, Field(pattern=r"^grpcs?://[^/@?#\s]+:\d+$")]] = Field(
        [], description="inference workers that score in place of this process: grpc://host:18070, grpcs:// with TLS"
    )
    workers_ca: str = Field("", description="file of their certificate authorities; empty: the system's")
    trust_code: bool = Field(False, description="load Python classes from a registry that is not a local folder")


class Monitor(Section):
    """The monitor."""

    idle_after_ms: Ms = Field(
        10_000,
        ge=100,
        description="a partition without records for so long leaves the watermark, unless requests wait there",
    )
    watch_from: Literal["earliest", "latest"] = Field(
        "earliest", description="where reading starts in a topic of `watch_topics` that was never read"
    )
    asleep_after_ms: Ms = Field(
        50_000,
        ge=100,
        description="once all partitions were idle for this long, windows close by the clock",
    )
    snapshot_interval_ms_max: Ms = Field(60_000, ge=1_000, description="how often the judge's state is written")
    join_every_ms: Ms = Field(500, ge=0, description="how often labels are joined")
    join_rows_max: int = Field(20_000, ge=1, description="most labels joined at a time")
    prediction_wait_ms_max: Ms = Field(600_000, ge=0, description="how long a label waits for its prediction")
    notify: list[str] = Field([], description="Apprise addresses (or env:/file: references) that pages are sent to")
    chat: list[str] = Field(
        [], description="Apprise addresses that get everything: pages, and what is too mild to page"
    )


class Sink(Section):
    """What writes to the store."""

    rows_max: int = Field(20_000, ge=1, description="most records of one insert")
    wait_ms_max: Ms = Field(500, ge=1, description="most time between two inserts of a partition")


class SchemaRegistry(Section):
    """Where the schemas of Avro records are."""

    url: str = Field("", description="http(s)://host:8081 of a Confluent Schema Registry; empty refuses Avro")
    user: str = Field("", description="user of its basic authentication")
    password: str = Field("", description="reference to the password: env:NAME or file:PATH")

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("write the address with http:// or https:// before it")
        if "@" in url.partition("://")[2].partition("/")[0]:
            raise ValueError("the address names a user; set schema_registry.user and .password, which is not logged")
        return url


class WatchTopic(Section):
    """A topic that somebody else fills with features and predictions, or with labels.

    See `drift.counting.external.Mapping`.
    """

    topic: Annotated[str, _named("topic")] = Field(description="its name on the cluster, without `kafka.prefix`")
    format: RecordFormatSetting = Field("auto", description="format of its records")
    model: str = Field("", description="model whose predictions these are")
    version: Annotated[str, _named("version")] = Field("v1", description="version of the model")
    reference: Path | None = Field(None, description="file of `driftline reference build`; default the registry's")
    id: str = Field("", description="path of the prediction's id")
    ts: str = Field("", description="path of the event time; default Kafka's timestamp")
    score: str = Field("", description="path of the score")
    prediction: str = Field("", description="path of the predicted class")
    label: str = Field("", description="path of the label")
    label_ts: str = Field("", description="path of the label's time")
    features: str = Field("$", description="path of the object with the features")
    columns: dict[str, str] = Field({}, description="by feature: its path, where it lies elsewhere")
    where: dict[str, str] = Field({}, description="path and text: only records that have this text there are read")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        predicts = self.score or self.prediction
        if not (predicts or self.label):
            raise ValueError("name score or prediction, or label: else there is nothing to watch")
        if predicts and not self.model:
            raise ValueError("name the model whose predictions these are")
        if self.model:
            check_name("model", self.model)
        if self.label and not (predicts or self.id):
            raise ValueError("name id: a label says by it whose it is")
        return self

    def __str__(self) -> str:
        given = {name: value for name, value in self if name in self.model_fields_set}
        return f"({', '.join(f'{name}={str(value)!r}' for name, value in given.items())})"

    __repr__ = __str__
