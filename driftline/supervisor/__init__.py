"""The supervisor: `driftline up`, its process tree, the ports it needs, and how it tells what it waits for."""
