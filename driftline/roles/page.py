"""The page: what the store holds and what the roles say, for people."""

from typing import Any

import msgspec
from urllib3 import PoolManager

from dashboards.page import serve
from drift.store import Store
from driftline.roles import parts
from driftline.roles.needs import store_need
from driftline.roles.run_file import ask_status
from driftline.settings import Settings

_ASK_S = 0.5
_ANSWER_S = 30.0


def run(settings: Settings) -> None:
    """Serve the page."""
    # Asked when somebody looks, who does not wait for minutes.
    where = parts.store_settings(settings, reads_only=True)
    store = Store(msgspec.structs.replace(where, answer_s_max=_ANSWER_S))
    http = PoolManager(timeout=_ASK_S, retries=False)

    def status() -> dict[str, Any]:
        return {"roles": {name: report for url in settings.page.status_urls for name, report in _ask(http, url)}}

    page = settings.page
    need = store_need(settings, reads_only=True)
    need.start()
    serve(
        store.query,
        status,
        page.host,
        page.port,
        root_path=page.root_path,
        hosts=page.hosts,
        store_away=need.away,
    )


def _ask(http: PoolManager, url: str) -> list[tuple[str, dict[str, Any]]]:
    status = ask_status(http, url)
    if status is None:
        return [(url, {"pid": None, "state": "no answer", "restarts": 0, "steps": []})]
    return [(status["role"], {"state": "up", "restarts": 0, **status})]
