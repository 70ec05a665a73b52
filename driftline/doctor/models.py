"""Models: packages in the registry are whole, and routes lead to versions that are there."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from difflib import get_close_matches
from typing import TYPE_CHECKING

from driftline.doctor.finding import Finding, failing
from driftline.doctor.log import has, is_away
from driftline.roles import parts
from driftline.settings import Settings, SettingsError
from streams.kafka.reach import ANSWER_S

if TYPE_CHECKING:
    from drift.reference.catalogue import Catalogue
    from streams.wire.records import Route

_REFERENCE = "reference.arrow"


def registry(settings: Settings) -> Iterator[Finding]:
    """Every version is what it was added as, and has its reference. A remote registry's files are not fetched."""
    from inference import ManifestError, Registry, RegistryError

    models = Registry(settings.registry)
    try:
        versions = models.list()
    except (ManifestError, RegistryError, OSError, ImportError) as error:
        yield failing("registry", f"{models.address}: {error}", 'registry = "a/folder" or "s3://bucket/models"')
        return
    wrong = []
    for manifest in versions:
        name = f"{manifest.name} {manifest.version}"
        try:
            if models.local:
                models.folder(manifest.name, manifest.version)
        except RegistryError as error:
            wrong.append(failing("registry", str(error), "driftline model add FOLDER, under a new version"))
        if _REFERENCE not in manifest.files:
            text = f"{name} has no {_REFERENCE}: it serves and is not watched"
            wrong.append(Finding("registry", "warn", text, "driftline model init, then add it as a new version"))
    yield from wrong
    if not versions:
        yield Finding("registry", "note", f"{models.address} holds no model", "driftline model add FOLDER")
    elif not wrong:
        yield Finding("registry", "ok", f"{models.address}, {len(versions)} versions, all whole and with reference")


def watch_columns(settings: Settings) -> Iterator[Finding]:
    """Columns that `[watch]` names are columns of some model. Says nothing where it names none."""
    watch = parts.watch(settings)
    if not (watch.columns or watch.exclude):
        return
    from drift.reference.catalogue import Unwatched
    from drift.reference.tolerances import unmatched
    from inference import ManifestError, Registry, RegistryError

    find, registry = parts.catalogue(settings), Registry(settings.registry)
    models = [(named.name, named.version) for named in registry.list()] if registry.local else []
    known: set[str] = set()
    for model, version in [*models, *((named.model, named.version) for named in settings.watch_topics if named.model)]:
        with suppress(Unwatched, ManifestError, RegistryError, OSError, ValueError):
            known |= {cells.name for cells in find(model, version).columns}
    for name in unmatched(watch, known) if known else ():
        near = get_close_matches(name, sorted(known), 1, 0.5)
        fix = f"write {near[0]}" if near else "driftline reference show FILE names the columns"
        yield Finding("watch", "warn", f"[watch] names {name}, which is a column of no model here", fix)


def watched(settings: Settings) -> Iterator[Finding]:
    """Topics that somebody else fills: their references fit, and they are there."""
    if not settings.watch_topics:
        return
    from driftline.roles import watch_topics
    from streams.kafka.admin import foreign_partitions

    try:
        wanted = watch_topics.record_readers(settings, parts.catalogue(settings))
    except SettingsError as error:
        yield failing("watch_topics", str(error), "driftline reference build --data TABLE --out FILE; name the FILE")
        return
    log = parts.cluster(settings)
    if not wanted or is_away(log):
        return
    there = foreign_partitions(log, wanted, timeout_s=ANSWER_S)
    for topic in wanted:
        if topic in there:
            yield Finding("watch_topics", "ok", f"{topic}, {there[topic]} partitions")
        else:
            fix = f"driftline topics create {topic}, or mend watch_topics.topic"
            yield failing("watch_topics", f"{topic} is not on {log.bootstrap}", fix)


def routes(settings: Settings) -> Iterator[Finding]:
    """What `models` says serves is in the registry, and its records are routes. Says nothing where Kafka is away."""
    from inference import Registry
    from streams.routes import read_book
    from streams.wire.route import versions

    log = parts.cluster(settings)
    if not has(log, "models"):
        return
    models, book, wrong = Registry(settings.registry), read_book(log, warn=False), []
    elsewhere = {named.model for named in settings.watch_topics}
    for route in book.routes.values():
        if route.model in elsewhere:
            continue
        known = {named.version for named in models.list(route.model)}
        for version in versions(route):
            if version not in known:
                problem = f"{route.model} is routed to {version}, which is not in {models.address}"
                fix = f"driftline model add FOLDER, or driftline model rollback {route.model}"
                wrong.append(failing("routes", problem, fix))
    yield from wrong
    if book.passed_over:
        record, why = next(iter(book.passed_over.items()))
        text = f"{len(book.passed_over)} records on {log.topic('models')} are passed over, the first at {record}: {why}"
        yield Finding("routes", "warn", text, "routes are written by `driftline model route`; find who writes others")
    if models.local:
        yield from unjudged(book.routes.values(), parts.catalogue(settings))
    if not book.routes:
        fix = "driftline model route NAME VERSION" if any(models.list()) else "driftline model add FOLDER"
        yield Finding("routes", "note", "no model serves", fix)
    elif not wrong:
        yield Finding("routes", "ok", ", ".join(f"{r.model} {r.champion}" for r in book.routes.values()))


def unjudged(routes: "Iterable[Route]", catalogue: "Catalogue") -> Iterator[Finding]:
    """Versions that serve and whose scores and losses are not judged, because their reference has no held-out rows."""
    from drift.reference.catalogue import Unwatched
    from inference import RegistryError
    from streams.away import Away

    for route in routes:
        for version in (route.champion, *route.canary):
            try:
                why = catalogue(route.model, version).unjudged
            except (Unwatched, RegistryError, Away, ValueError):  # None, broken or away: another check reports it.
                continue
            if why:
                fix = "driftline model init ... --holdout FILE, under a new version"
                yield Finding("routes", "warn", f"{route.model} {version}: {why}", fix)
