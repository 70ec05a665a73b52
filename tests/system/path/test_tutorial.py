"""`docs/tutorial.md`, followed from its first block to its last; what it shows of the output stands there."""

import re
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest
from terminal import Block, Terminal, blocks

pytestmark = pytest.mark.timeout(900)

_FILE = re.compile(r"# ([\w.-]+)\n")


def shows(output: str, wanted: str) -> bool:
    """Whether lines stand in an output, in their order; `...` in a line stands for any text of it."""
    lines = [re.escape(line).replace(re.escape("..."), ".*") for line in wanted.strip().splitlines()]
    return re.search(r"^.*" + r".*\n(?:.*\n)*?.*".join(lines), output, re.MULTILINE) is not None


def command(terminal: Terminal, line: str, wanted: str) -> None:
    """Run a line until it shows what the page shows: incidents come some seconds after their rows."""
    deadline = time.monotonic() + 120
    while not shows(output := terminal.run(line), wanted):
        assert line.startswith("driftline incidents") and time.monotonic() < deadline, f"{line}\n{output}\n{wanted}"
        time.sleep(1)


def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    steps = [*blocks("docs/tutorial.md"), Block("", "")]
    with ExitStack() as running:
        for block, after in pairwise(steps):
            if named := _FILE.match(block.text):
                (tmp_path / named[1]).write_text(block.text)
                if block.language == "python":
                    terminal.run(f"python {named[1]}")
            elif block.line == "driftline up":
                running.enter_context(terminal.up(block.line))
            elif block.language == "sh":
                command(terminal, block.line, after.text if after.language == "text" else "")
            else:
                assert block.language == "text", block
