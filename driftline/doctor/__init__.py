"""The doctor: what is missing on this machine and around it, each with the command or setting that mends it.

Every check is a function that yields findings and changes nothing, here or on any server: `machine` looks at Python,
packages, ports and disk, `kafka` at the log, `store` at ClickHouse, `schema_registry` at where Avro's schemas are,
`models` at registry and routes, `running` at what crashes, hangs behind or is refused just now. What is simply not
running is a note, not a failure.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from driftline import settings as reading
from driftline.doctor import kafka, machine, models, receivers, running, schema_registry, store
from driftline.doctor.finding import Finding, failing
from driftline.settings import Settings, SettingsError

__all__ = ["Finding", "examine", "findings"]

_ALONE: tuple[Callable[[], Iterator[Finding]], ...] = (machine.python, machine.packages)
_WITH_SETTINGS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    machine.dependencies,
    machine.device,
    machine.jars,
    machine.folder,
    machine.secrets,
    machine.ports,
    receivers.known,
    kafka.cluster,
    store.reachable,
    schema_registry.reachable,
    models.registry,
    models.routes,
    models.watched,
    models.watch_columns,
    running.roles,
    running.refused,
)


def examine(file: Path | None = None) -> list[Finding]:
    """Run every check; see `findings`."""
    return list(findings(file))


def findings(file: Path | None = None) -> Iterator[Finding]:
    """Run every check, those that wait for servers side by side; findings come in a fixed order, each as it is known.

    Parameters
    ----------
    file
        Settings, as everywhere. Where they cannot be read, only what needs none is checked.
    """
    for check in _ALONE:
        yield from _seen(check.__name__, check)
    try:
        settings = reading.load(file=file)
    except SettingsError as error:
        yield Finding("settings", "fail", str(error), "driftline settings show")
        return
    yield Finding("settings", "ok", _read_from(file))
    with ThreadPoolExecutor(len(_WITH_SETTINGS)) as pool:
        each = [pool.submit(_seen, check.__name__, partial(check, settings)) for check in _WITH_SETTINGS]
        for future in each:
            yield from future.result()


def _seen(name: str, check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """Findings of a check; a check that breaks is a finding too, and hides none of the others."""
    findings = []
    try:
        for finding in check():
            findings.append(finding)
    except ImportError as error:
        findings.append(Finding(name, "warn", f"not checked: {error}", "pip install 'driftline[all]'"))
    except Exception as error:
        findings.append(
            failing(name, f"{type(error).__name__}: {error}", "mend what the text names, or report it to us")
        )
    return findings


def _read_from(file: Path | None) -> str:
    origins = [origin for origin, layer in reading.layers(None, file) if layer and origin != "None"]
    return f"from {' and '.join(origins)}" if origins else "all defaults"
