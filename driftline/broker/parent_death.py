"""Runs a command that dies with the process that asked for it: `python parent_death.py PARENT COMMAND...`.

A broker whose owner was killed would hold its port and its data directory for ever. The kernel can prevent
that, but only the child itself can ask for it, and Python code between fork and exec is not safe beside
threads; so this file is the child: it asks, then becomes the command. It imports nothing of ours.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main(parent: int, command: list[str]) -> None:
    """Become `command`, to be killed when `parent` ends; outside Linux, become `command`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # It died before we could ask.
            sys.exit(f"process {parent} is gone; not starting {command[0]}")
    os.execv(command[0], command)  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
