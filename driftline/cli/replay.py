"""The time machine on the command line."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from driftline.cli.options import AsJson, echo_json, load

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
    from driftline import compose
    from driftline.replay import replay as run
    from driftline.replay import words
    from driftline.replay.change import Change, watch_of
    from inference import Registry

    _be_quiet()
    settings = load()
    change = Change(model, watch_of(watch) if watch else {}, str(watch) if watch else None)
    registry, score = Registry(settings.registry), settings.score

    def find(name: str, version: str) -> Any:
        return registry.load(name, version, score.device, trust_code=score.trust_code or registry.local)

    with _bar() as tell:
        result = run(compose.answering(settings), find, compose.catalogue(settings), start, end, change, tell)
    if out is not None:
        from driftline.replay.page import page

        out.write_text(page(result), encoding="utf-8")
    if as_json:
        echo_json(result)
    else:
        typer.echo("\n".join(words.lines(result)))
    raise typer.Exit(1 if fail and result.differs else 0)


def _be_quiet() -> None:
    """What the stages say of their day is no result: warnings alone, and on stderr."""
    import logging

    import structlog

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # whatever stderr is by then
    )


def _bar() -> Any:
    """A progress bar on stderr, where that is a terminal."""
    from rich.console import Console

    console = Console(stderr=True)
    return _Bar(console) if console.is_terminal else nullcontext()


class _Bar:
    def __init__(self, console: Any) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, transient=True)

    def __enter__(self) -> Any:
        self._progress.start()
        self._task = self._progress.add_task("requests", total=None)
        return self._tell

    def __exit__(self, *raised: object) -> None:
        self._progress.stop()

    def _tell(self, done: int, of: int) -> None:
        self._progress.update(self._task, completed=done, total=of)
