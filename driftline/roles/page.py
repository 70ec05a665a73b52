"""The page: what the store holds and what the roles say, for people."""

from typing import Any

from urllib3 import PoolManager

from dashboards.page import serve
from drift.store import Store
from driftline import compose
from driftline.settings import Settings
from driftline.supervisor.run_file import ask_status

_ASK_S = 0.5


def run(settings: Settings) -> None:
    """Serve the page."""
    store = Store(compose.store_settings(settings))  # asked when somebody looks
    http = PoolManager(timeout=_ASK_S, retries=False)

    def status() -> dict[str, Any]:
        return {"roles": {name: said for url in settings.page.status_urls for name, said in _ask(http, url)}}

    serve(store.query, status, settings.page.host, settings.page.port)


def _ask(http: PoolManager, url: str) -> list[tuple[str, dict[str, Any]]]:
    status = ask_status(http, url)
    if status is None:
        return [(url, {"pid": None, "state": "no answer", "restarts": 0, "steps": []})]
    return [(status["role"], {"state": "up", "restarts": 0, **status})]
