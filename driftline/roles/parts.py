"""What the roles are made of: the parts that the settings name, put together here and nowhere else.

A part is imported where it is made: the worker, which must be back in seconds, needs neither the store's client nor
references.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftline.settings import Settings, SettingsError
from driftline.watch_settings import WatchError, watch_of

if TYPE_CHECKING:
    from drift.reference.catalogue import Catalogue
    from drift.store import StoreSettings
    from streams.formats.schema_registry import SchemaRegistry
    from streams.kafka.admin import Layout
    from streams.kafka.cluster import Cluster
    from streams.wire.records import Watch


def cluster(settings: Settings) -> "Cluster":
    """Make the log's address and manners."""
    from streams.kafka.cluster import Cluster

    kafka = settings.kafka
    embedded = settings.embedded_kafka
    protocol = kafka.group_protocol if kafka.group_protocol != "auto" else "consumer" if embedded else "classic"
    return Cluster(
        bootstrap=kafka.bootstrap or f"127.0.0.1:{kafka.port}",
        prefix=kafka.prefix,
        options=kafka.options,
        group_protocol=protocol,
        transaction_timeout_ms=kafka.transaction_timeout_ms or (5_000 if embedded else 10_000),
    )


def answering(settings: Settings, *commands: str) -> "Cluster":
    """Make the log's address for a command that somebody waits for: a broker that is not there is said at once.

    librdkafka asks again and again for as long as it is let (15 s), as a role should that outlives a broker's restart.
    From here on warnings alone are logged, and on stderr: stdout holds the command's result.

    Parameters
    ----------
    commands
        Names in `driftline.roles.access`: where the cluster knows users, this one must be allowed what they need.

    Raises
    ------
    TopicError
        None of the bootstrap servers takes a connection, or the cluster does not let us in.
    AccessError
        This user may not do what is needed.
    """
    from streams.kafka.admin import TopicError
    from streams.kafka.reach import down
    from streams.logs import warnings_to_stderr

    warnings_to_stderr()
    log = cluster(settings)
    if reasons := down(log.options.get("bootstrap.servers", log.bootstrap)):
        text = ", ".join(f"{address}: {why}" for address, why in reasons.items())
        raise TopicError(f"no Kafka at {text}; {_remedy(settings)}")
    if str(log.options.get("security.protocol", "PLAINTEXT")).upper() != "PLAINTEXT":  # The cluster knows users.
        from driftline.roles.access import COMMANDS
        from streams.kafka.access import require
        from streams.kafka.admin import partition_counts

        partition_counts(log)
        require(log, [need for command in commands for need in COMMANDS[command]])
    return log


def _remedy(settings: Settings) -> str:
    """What to do where no broker answers: somebody may have begun to do it."""
    from driftline.roles.run_file import read_or_none

    if not settings.embedded_kafka:
        return "start it, or set kafka.bootstrap"
    if read_or_none(settings.data_dir):
        return "`driftline up` runs here and may still be starting it: wait until it says `ready` (`driftline status`)"
    return "`driftline up` starts one, or set kafka.bootstrap"


def layout(settings: Settings) -> "Layout":
    """How many partitions the topics get."""
    from streams.kafka.admin import Layout

    kafka = settings.kafka
    return Layout(
        requests=kafka.partitions_requests,
        model=kafka.partitions_model,
        replicas=kafka.replicas,
        retention_ms=kafka.retention_ms,
    )


def watch(settings: Settings, **more: Any) -> "Watch":
    """Defaults for watching a model, from the section ``watch`` of the settings.

    Raises
    ------
    SettingsError
        A key or a value that `streams.wire.records.Watch` refuses.
    """
    try:
        return watch_of({**settings.watch, **more})
    except WatchError as error:
        raise SettingsError(str(error)) from None


def store_folder(settings: Settings) -> Path:
    """Where the embedded store's data lies, and its passwords."""
    return settings.data_dir / "store"


def store_settings(settings: Settings, *, reads_only: bool = False) -> "StoreSettings":
    """Where the statistics are kept; who reads only asks the embedded store as its reader."""
    from drift.store import StoreSettings
    from drift.store.passwords import OWNER, READER

    clickhouse = settings.clickhouse
    if settings.embedded_store:
        user = READER if reads_only else OWNER
        return StoreSettings.embedded(store_folder(settings), clickhouse.port, clickhouse.database, user)
    from streams.secrets import open_reference

    password = open_reference(clickhouse.password)
    given: dict[str, object] = {"flavour": clickhouse.flavour} if clickhouse.flavour else {}
    given |= {"ca_certs": clickhouse.ca} if clickhouse.ca else {}
    return StoreSettings.from_url(clickhouse.url, password, **given)


def schema_registry(settings: Settings) -> "SchemaRegistry | None":
    """Where Avro's schemas are, if anywhere.

    Raises
    ------
    SettingsError
        Avro cannot be read here.
    """
    given = settings.schema_registry
    if not given.url:
        return None
    if find_spec("fastavro") is None:
        raise SettingsError("schema_registry.url: Avro is read by fastavro; pip install 'driftline[avro]'")
    from streams.formats.schema_registry import SchemaRegistry
    from streams.secrets import open_reference

    return SchemaRegistry(given.url, given.user, lambda: open_reference(given.password))


def catalogue(settings: Settings, warn: bool = False) -> "Catalogue":
    """Find references in the registry, beside their models, or where a watched topic says.

    With ``warn`` those that cannot be used are named in the log.
    """
    from driftline.roles.catalogue import References
    from inference import Registry

    files = {
        (watched.model, watched.version): watched.reference for watched in settings.watch_topics if watched.reference
    }
    return References(Registry(settings.registry), files, warn=warn)
