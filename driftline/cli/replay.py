"""The time machine on the command line."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from driftline.cli.bars import bars
from driftline.cli.options import AsJson, echo_json, load, say
from driftline.progress import OnProgress

if TYPE_CHECKING:
    from driftline.replay import Replay

_PLACE = "Kafka time (RFC 3339, ms, -15m, now) or offsets (3:1041,...)"


def replay(
    start: Annotated[str | None, typer.Option("--from", help=f"{_PLACE}; default: the beginning.")] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="The same, itself excluded; default: what is settled.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Version that answers everything: v2, or NAME@v2.")] = None,
    watch: Annotated[
        Path | None, typer.Option("--settings", help="File whose section 'watch' holds instead, key by key.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the report as HTML.")] = None,
    fail: Annotated[bool, typer.Option("--fail-on-difference", help="Exit code 1 if anything differs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run the past again and say what differs."""
    with bars() as on_progress:
        on_progress("reading what was served", 0, None)
        result = _run(start, end, model, watch, on_progress)
    from driftline.replay import text as words

    if out is not None:
        from driftline.replay.html import page

        out.write_text(page(result), encoding="utf-8")
    if as_json:
        echo_json(result)
    else:
        say("\n".join(words.lines(result)))
    raise typer.Exit(1 if fail and result.differs else 0)


def _run(
    start: str | None, end: str | None, model: str | None, watch: Path | None, on_progress: OnProgress
) -> "Replay":
    from driftline.replay import replay as run
    from driftline.replay.overrides import Change, watch_of
    from driftline.roles import parts
    from inference import Registry

    settings = load()
    change = Change(model, watch_of(watch) if watch else {}, str(watch) if watch else None)
    registry, score = Registry(settings.registry), settings.score

    def find(name: str, version: str) -> Any:
        return registry.load(name, version, score.device, trust_code=score.trust_code)

    log = parts.answering(settings, "replay")
    return run(log, find, parts.catalogue(settings), start, end, change, on_progress)
