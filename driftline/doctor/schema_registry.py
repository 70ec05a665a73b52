"""The schema registry: something answers there."""

from collections.abc import Iterator

from driftline.doctor.finding import Finding, failing
from driftline.roles import parts
from driftline.settings import Settings, SettingsError


def reachable(settings: Settings) -> Iterator[Finding]:
    """The schema registry answers. Says nothing where none is named."""
    from streams.away import Away

    try:
        registry = parts.schema_registry(settings)
        if registry is None:
            return
        registry.ask()
    except SettingsError as error:
        yield failing("schema_registry", str(error), "pip install 'driftline[avro]'")
    except Away as error:
        yield failing("schema_registry", str(error), 'schema_registry.url = "https://registry:8081"')
    else:
        yield Finding("schema_registry", "ok", registry.address)
