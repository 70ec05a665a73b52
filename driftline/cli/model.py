"""Models: packages made from tables, versions in the registry, routes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from driftline.cli.bars import bars
from driftline.cli.options import (
    AsJson,
    File,
    Holdout,
    RowOrder,
    Segments,
    Task,
    Time,
    echo_json,
    group,
    load,
    names,
    progress,
    say,
)
from driftline.commands.terminal import aligned

if TYPE_CHECKING:
    from driftline.commands.model_init import Made
    from driftline.commands.model_routes import Entry, RouteAdmin
    from streams.wire.records import Route

app = group("Bring a model: package, add, route, promote, roll back.")

Name = Annotated[str, typer.Argument(help="Name of the model.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept with the route.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait until the workers serve it.")]


@app.command()
def init(
    name: Name,
    data: Annotated[Path, typer.Option(help="Table that the model was trained on, Parquet or CSV.")],
    model: Annotated[str | None, typer.Option(help="model.pt2, model.onnx or model.py:Class, for example.")] = None,
    train: Annotated[bool, typer.Option("--train", help="No model yet: train a small network on the label.")] = False,
    label: Annotated[str | None, typer.Option(help="Column with the truth.")] = None,
    score: Annotated[str | None, typer.Option(help="Column with scores; without it the model is asked.")] = None,
    prediction: Annotated[str | None, typer.Option(help="Column with predicted classes.")] = None,
    features: Annotated[str, typer.Option(metavar="A,B,...", help="Features in the model's order; else all.")] = "",
    exclude: Annotated[str, typer.Option(metavar="A,B,...", help="Columns that are no features.")] = "",
    categorical: Annotated[str, typer.Option(metavar="A,B,...", help="Columns of numbers that are names.")] = "",
    task: Annotated[Task | None, typer.Option(help="What the label says, where it misleads.")] = None,
    positive: Annotated[str, typer.Option(help="Class that a binary score is the probability of.")] = "",
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Least score of the positive class.")] = 0.5,
    segments: Segments = "",
    version: Annotated[str, typer.Option(help="Version.")] = "v1",
    out: Annotated[Path | None, typer.Option(help="Folder of the package; default packages/NAME.")] = None,
    companions: Annotated[list[Path] | None, typer.Option("--with", help="File that the model reads.")] = None,
    time: Time = None,
    order: RowOrder = None,
    holdout: Holdout = None,
    data_is_held_out: Annotated[
        bool, typer.Option("--data-is-held-out", help="The model has not learnt from --data itself.")
    ] = False,
    shuffle: Annotated[
        bool, typer.Option("--shuffle", help="Mix the rows before --train; without --time their order is unknown.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a package that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a package and its reference from a table."""
    if (model is None) == (not train):
        raise typer.BadParameter(
            "name the model, --model model.pt2, model.onnx or model.py:Class; or --train a network"
        )
    with bars() as on_progress:
        on_progress(f"reading {data}", 0, None)
        from driftline.commands.model_init import (
            init as make,  # after the first word: it takes a while on a busy machine
        )
        from inference import Registry

        registry = Registry(load(None).registry)
        made = make(
            data,
            out or Path("packages") / name,
            model=model,
            companions=companions or (),
            shuffle=shuffle,
            time=time,
            order=order,
            holdout=holdout,
            data_is_held_out=data_is_held_out,
            force=force,
            registry=registry if registry.local else None,  # a package can be made without a network
            on_progress=on_progress,
            name=name,
            version=version,
            label=label,
            score=score,
            prediction=prediction,
            features=names(features) or None,
            exclude=names(exclude),
            categorical=names(categorical),
            task=task,
            positive=positive,
            threshold=threshold,
            segments=names(segments),
        )
    if as_json:
        echo_json(
            {
                "folder": made.folder,
                "model": made.package,
                "reference": made.reference.id,
                "rows": made.reference.rows,
                "performance": made.reference.performance,
                "held_out_rows": made.reference.held_out_rows,
                "in_sample": made.reference.in_sample,
                "checks": made.reference.checks,
                "notes": made.notes,
                "trained": made.trained,
            }
        )
    else:
        _say_made(made, label)


def _say_made(made: "Made", label: str | None) -> None:
    from driftline.commands.references import content, judged_rows

    package, reference = made.package, made.reference
    classes, more = package.outputs.classes[:8], len(package.outputs.classes[8:])
    outputs = f": {', '.join(classes)}{f' and {more} more' if more else ''}" if classes else ""
    if package.outputs.positive:
        outputs += f"; the score is the probability of {package.outputs.positive!r}"
    say(f"{package.name} {package.version}   {package.task}{outputs}")
    rows: list[tuple[str, str, str, str]] = [
        (
            feature.name,
            feature.kind,
            "required" if feature.required else "may be null",
            content(reference, feature.name),
        )
        for feature in package.inputs
    ]
    rows += [(label, "label", "", "")] if label else []
    say("\n".join(aligned(rows, indent=2)))
    if made.trained:
        say(f"trained: {made.trained}")
    if reference.performance:
        figures = ", ".join(f"{metric} {value:.3g}" for metric, value in reference.performance.items())
        say(f"on {judged_rows(reference)}: {figures}")
    for note in made.notes:
        say(f"note: {note}")
    say(f"written: {made.folder}/model.toml, {package.artefact.partition(':')[0]}, examples.arrow, reference.arrow")
    say(f"next:    driftline model add {made.folder}")


@app.command()
def add(
    folder: Annotated[Path, typer.Argument(help="Folder with a model.toml.")],
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Add a package to the registry."""
    from inference import Registry

    registry = Registry(load(file).registry)
    if (folder / "reference.arrow").exists():
        from driftline.commands import references

        references.read(folder)  # The registry takes any file; one that the judge refuses is better refused here.
    manifest = registry.add(folder)
    others = [known.version for known in registry.list(manifest.name) if known.version != manifest.version]
    canary = " --canary 5%" if others else ""
    step = f"driftline model route {manifest.name} {manifest.version}{canary}"
    watched = "reference.arrow" in manifest.files
    if as_json:
        echo_json({"model": manifest.name, "version": manifest.version, "digest": manifest.digest, "watched": watched})
        return
    say(f"{manifest.name} {manifest.version} is in {registry.address} ({len(manifest.files)} files)")
    if not watched:
        say("note: it has no reference.arrow, so it will serve unwatched; `driftline reference build` makes one")
    say(f"next:    {step}")


@app.command()
def bench(
    name: Name,
    version: Annotated[str, typer.Argument(help="Version to measure.")],
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    seconds: Annotated[float, typer.Option(min=0, help="How long each batch shape is measured.")] = 1.0,
    trust_code: Annotated[bool, typer.Option("--trust-code", help="Run a model that is code.")] = False,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Measure a version as each of its variants, at each batch shape; nothing is changed."""
    from driftline.commands import model_bench
    from inference import Registry
    from inference import device as resolved

    settings = load(file)
    registry = Registry(settings.registry)
    package, folder = registry.package(name, version), registry.folder(name, version)
    trusted = trust_code or registry.trusts(folder)
    with bars() as on_progress:
        result = model_bench.bench(
            package, folder, resolved(device), seconds=seconds, trust_code=trusted, on_progress=on_progress
        )
    if as_json:
        echo_json({"bench": result, "recommended": result.recommended})
        return
    say(f"{name} {version} on {result.device}; {result.examples} examples")
    say("\n".join(aligned(model_bench.table(result), numbers=range(1, 6), indent=2)))
    for variant, why in result.refused.items():
        say(f"note: {variant}: {why}")
    say(model_bench.advice(result, package))


@app.command()
def route(
    name: Name,
    version: Annotated[str | None, typer.Argument(help="Version that answers, or the canary's.")] = None,
    canary: Annotated[list[str] | None, typer.Option(help="5%, or v2=5%; may be repeated.")] = None,
    shadow: Annotated[list[str] | None, typer.Option(help="Version that scores and does not answer.")] = None,
    renew_watch: Annotated[bool, typer.Option("--renew-watch", help="Watch by the settings as they are now.")] = False,
    reason: Reason = "",
    no_wait: NoWait = False,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Say which versions answer requests.

    `route m v1` makes v1 the champion. `route m v2 --canary 5%` lets v2 answer 5 % beside the champion. What is not
    said ends: `route m v1` also ends canaries and shadows.
    """
    if version is None and not (canary or shadow or renew_watch):
        raise typer.BadParameter("name a version, --canary v2=5%, or --shadow v3")
    routes = _routes(file)
    warnings = routes.warnings(name)  # asked before there is this route, and said only if there is one
    made = routes.route(name, version, canary or (), shadow or (), renew=renew_watch, reason=reason)
    for warning in warnings:
        say(f"driftline: {warning}", err=True)
    _finish(made, file, no_wait, as_json)


@app.command()
def promote(
    name: Name,
    version: Annotated[str, typer.Argument(help="Version that answers from now on.")],
    reason: Reason = "",
    no_wait: NoWait = False,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Make a version the champion; canaries end."""
    _finish(_routes(file).promote(name, version, reason=reason), file, no_wait, as_json)


@app.command()
def rollback(
    name: Name, reason: Reason = "", no_wait: NoWait = False, file: File = None, as_json: AsJson = False
) -> None:
    """Go back to the champion before; twice goes back two."""
    _finish(_routes(file).roll_back(name, reason=reason), file, no_wait, as_json)


@app.command()
def remove(
    name: Name,
    version: Annotated[str, typer.Argument(help="Version to remove.")],
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Remove a version from the registry; no route may name it."""
    gone = _routes(file).remove(name, version)
    if as_json:
        echo_json({"model": gone.name, "version": gone.version, "digest": gone.digest})
    else:
        say(f"{name} {version} is removed from the registry; what it predicted stays in topics and store")


@app.command()
def export(
    name: Name,
    version: Annotated[str, typer.Argument(help="Version to export.")],
    to: Annotated[str, typer.Option(help="triton, mlserver or kserve.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write; default NAME-SERVER.")] = None,
    uri: Annotated[str, typer.Option(help="kserve: where an ONNX model's folder will lie.")] = "",
    image: Annotated[str, typer.Option(help="kserve: image with mlserver, driftline and the folder as /model.")] = "",
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Write the folder that another server loads; it speaks the Open Inference Protocol v2."""
    from inference import Registry
    from inference.exporting.targets import Where, export

    registry = Registry(load(file).registry)
    where = Where(out or Path(f"{name}-{to}"), uri, image)
    files = export(registry.package(name, version), registry.folder(name, version), to, where)
    written = [str(path.relative_to(where.folder)) for path in files]
    if as_json:
        echo_json({"model": name, "version": version, "to": to, "folder": str(where.folder), "files": written})
    else:
        say(f"{name} {version} for {to} is in {where.folder}: {', '.join(written)}")


@app.command("list")
def list_versions(
    name: Annotated[str | None, typer.Argument(help="Only this model.")] = None,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """List versions and what serves."""
    from driftline.commands.model_routes import listing
    from inference import Registry
    from streams.kafka.access import AccessError
    from streams.kafka.admin import TopicError
    from streams.wire.route_book import RouteBook

    settings = load(file)
    try:
        book = _routes(file, "model list").book()
    except (TopicError, AccessError) as error:
        book = RouteBook()
        say(f"driftline: {error}; what serves is not known", err=True)
    registry = Registry(settings.registry)
    entries = listing(registry, book, name)
    if as_json:
        echo_json(entries)
    elif entries:
        _say_listing(entries)
    else:
        say(f"no model in {registry.address}; `driftline model init` makes one", err=True)


def _say_listing(entries: "list[Entry]") -> None:
    rows = [
        (
            entry.model,
            entry.version,
            entry.task,
            entry.serves or "-",
            str(entry.epoch) if entry.serves else "",
            "yes" if entry.reference else "no",
        )
        for entry in entries
    ]
    headings = ("model", "version", "task", "serves", "epoch", "reference")
    say("\n".join(aligned([headings, *rows], numbers=(4,))))


def _routes(file: Path | None, command: str = "model") -> "RouteAdmin":
    from driftline.commands.model_routes import RouteAdmin
    from driftline.roles import parts as compose
    from inference import Registry

    settings = load(file)
    elsewhere = [topic.model for topic in settings.watch_topics]
    return RouteAdmin(
        compose.answering(settings, command), Registry(settings.registry), compose.watch(settings), elsewhere
    )


def _finish(made: "Route", file: Path | None, no_wait: bool, as_json: bool) -> None:
    """Say what was announced, and wait until who serves serves it; ends with code 1 where somebody does not."""
    from driftline.commands.model_workers import in_words, served, wait_until_served
    from driftline.roles import parts as compose

    if not as_json:
        say(_announced(made))
    settings = load(file)
    if no_wait or made.model in {topic.model for topic in settings.watch_topics}:
        if as_json:
            echo_json(made)
        return
    workers = wait_until_served(compose.cluster(settings), made, progress)
    if as_json:
        echo_json({**msgspec.structs.asdict(made), "workers": workers})
    else:
        for sentence in in_words(made, workers):
            say(f"  {sentence}", err=any(worker.state != "serves" for worker in workers) or not workers)
    raise typer.Exit(0 if served(workers) else 1)


def _announced(made: "Route") -> str:
    parts = [f"champion {made.champion}"]
    parts += [f"canary {version} {100 * amount:.4g} %" for version, amount in sorted(made.canary.items())]
    parts += [f"shadow {version}" for version in made.shadows]
    went = f": {made.reason}" if made.reason else ""
    return f"{made.model}: {', '.join(parts)} (epoch {made.epoch}){went}"
