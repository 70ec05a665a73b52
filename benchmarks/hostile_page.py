"""The page in a process of its own, over an embedded store that holds the scene of the dashboards' tests."""

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from driftline.supervisor.processes import MALLOC_SETTINGS

_SCENES = Path(__file__).parents[1] / "tests" / "dashboards"
#: A model of the scene.
LINE = "employment"


class PageProcess:
    """Runs it while the body runs.

    Parameters
    ----------
    folder
        For the store.

    Attributes
    ----------
    port, pid
        Where it listens, and its process.
    """

    port = 0

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "benchmarks.hostile_page", str(self._folder)]
        environ = MALLOC_SETTINGS | os.environ  # as the supervisor starts it
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(30)


def main() -> None:
    """Serve until SIGTERM."""
    sys.path.insert(0, str(_SCENES))
    import playing  # type: ignore[import-not-found]
    import scene  # type: ignore[import-not-found]

    from dashboards.page import make_server

    with playing.stored(Path(sys.argv[1])) as store:
        server = make_server(store.query, scene.status)
        print(server.effective_port, flush=True)
        server.run()


if __name__ == "__main__":
    main()
