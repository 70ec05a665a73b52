"""Driftline: the commands, the roles and the process tree around `streams`, `inference` and `drift`."""
