"""Progress of long work, as bars on a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from driftline.progress import OnProgress, unwatched


@contextmanager
def bars() -> Iterator[OnProgress]:
    """Bars with the time left, on stderr where that is a terminal, else nothing.

    A step of unknown length moves until the next one begins.
    """
    if not sys.stderr.isatty():
        yield unwatched
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks = {}

        def show(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                for task in progress.tasks:
                    if task.total is None:
                        progress.update(task.id, completed=1, total=1)
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done, total=total)

        yield show
