"""What people see: one list of panels, shown by the built-in page and by Grafana.

`panels` is the list: what each panel asks, in which unit, from which query (`queries/*.sql`), and what to do about it;
`rules` are the alert rules. `macros` expands Grafana's macros for those who ask without Grafana, `words` writes
figures, `theme` has the palette and `drift_map` the shades of the drift map. From these, `page` draws the built-in live
page, `grafana` generates the provisioned files, and `push` sends them to a running Grafana.

This package imports none of the others (reports of `drift.analysis` use its palette): it is handed
``query(sql, parameters) -> DataFrame``, which binds parameters written ``{name:Type}``, and ``status() -> dict`` (see
`dashboards.page.live`).
"""

from dashboards.macros import MacroError, Range, expand
from dashboards.panels import PANELS, Panel
from dashboards.rules import RULES, Rule

__all__ = ["PANELS", "RULES", "MacroError", "Panel", "Range", "Rule", "expand"]
