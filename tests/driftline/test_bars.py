"""Progress is for people: on a terminal it moves, elsewhere there is not a byte of it."""

import os
import pty
import subprocess
import sys

_CODE = """
import sys
from driftline.cli.bars import bars
with bars() as told:
    told("reading", 0, None)
    for done in (0, 3, 10):
        told("scoring", done, 10)
print("result", "rich" in sys.modules)
"""


def test_a_terminal_sees_steps_and_how_far_they_are() -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", _CODE], stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    seen = b""
    try:
        while piece := os.read(ours, 4096):
            seen += piece
    except OSError:  # Linux says so when the other side has closed.
        pass
    finally:
        os.close(ours)
    assert process.communicate(timeout=60)[0] == b"result True\n"
    text = seen.decode()
    assert "reading" in text
    assert "1/1" in text, "a step of unknown length is done when the next one begins"
    assert "scoring" in text
    assert "10/10" in text


def test_a_pipe_sees_the_result_alone() -> None:
    said = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, timeout=60)
    assert (said.returncode, said.stdout, said.stderr) == (0, "result False\n", "")
