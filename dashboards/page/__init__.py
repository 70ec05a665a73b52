"""The built-in page: the fleet, a model, a column, an incident, the pipeline; live, offline, read-only.

Read the files in the order of a visit: `address` says what is looked at, `query_cache` asks the store and the roles,
`page_data` gathers all that a page needs, `sentence` says it aloud, `view` and the five pages lay it out with `parts`
and `charts`, `chart_style` gives their style, `app` serves it and `probes` fences it in. Under ``/api`` the same data
are JSON (`json_view`).
"""

from dashboards.page.app import make_app
from dashboards.page.server import make_server, serve

__all__ = ["make_app", "make_server", "serve"]
