"""Grafana's files, generated from the one list of panels and the list of rules.

`drawings` turns a panel into Grafana's kind of panel, `classic` lays panels out as dashboards (classic JSON: file
provisioning refuses the newer schema), `alerts` writes the rules, `files` puts all of it where a provisioned
Grafana reads it, and compares that with what is there.
"""

from dashboards.grafana.files import build, check

__all__ = ["build", "check"]
