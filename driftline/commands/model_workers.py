"""Whether those who answer requests follow a route: asked of every worker that has a part of `requests`.

The workers are the members of the group ``score``; each is asked for its ``/status``. One that starts meanwhile reads
the routes before it takes a request, so it need not be waited for.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec
from urllib3 import PoolManager

from driftline.roles.run_file import ask_status
from streams.kafka.cluster import Cluster
from streams.kafka.members import Member, members
from streams.wire.records import Route

#: A model may be large, and be fetched from far away.
WAIT_S = 120.0
#: Longer than a dead member stays in its group; whoever is silent for longer cannot be reached from here.
SILENT_S = 15.0
_LOOK_S = 0.2
_ASK_S = 2.0

State = Literal["serves", "loads", "refuses", "silent"]


class Worker(msgspec.Struct, frozen=True):
    """A worker and a route: it ``serves`` by it, still ``loads``, ``refuses`` it, or is ``silent``: nobody answers.

    ``why`` is the refusal's reason, or where it was asked.
    """

    name: str
    state: State
    why: str = ""


def standing(member: Member, status: dict[str, Any] | None, route: Route) -> Worker:
    """Read from a worker's status how far it is with a route.

    Parameters
    ----------
    member
        The worker.
    status
        What its ``/status`` says; None where it does not answer.
    route
        The route to be followed.

    >>> route = Route(model="churn", epoch=3, ts=0, champion="v2")
    >>> of = lambda serving: standing(Member("worker-0", "http://..."), {"serving": serving}, route).state
    >>> of({"churn": {"version": "v2", "epoch": 3}}), of({"churn": {"version": "v1", "epoch": 2}}), of({})
    ('serves', 'loads', 'loads')
    >>> of({"churn": {"version": "v1", "epoch": 2, "refused": "no torch", "refused_epoch": 3}})
    'refuses'
    """
    if status is None:
        return Worker(member.name, "silent", member.url)
    serving = status.get("serving", {}).get(route.model, {})
    if serving.get("epoch", 0) >= route.epoch:
        return Worker(member.name, "serves")
    if serving.get("refused_epoch", 0) >= route.epoch:
        return Worker(member.name, "refuses", serving["refused"])
    return Worker(member.name, "loads")


def wait_until_served(
    cluster: Cluster, route: Route, say: Callable[[str], None] = lambda _: None, wait_s: float = WAIT_S
) -> list[Worker]:
    """Wait until every worker serves by a route or a newer one, one refuses it, or the time is over.

    Parameters
    ----------
    route
        The route to be followed.
    say
        Given a sentence whenever other workers are waited for.
    wait_s
        How long to wait.

    Returns
    -------
    list of Worker
        As they were asked last; empty where no worker runs.
    """
    http, admin = PoolManager(timeout=_ASK_S, retries=False), cluster.admin(log_level=2)
    began, before = time.monotonic(), ""
    while True:
        present = members(cluster, "score", admin)
        workers = [standing(client, ask_status(http, client.url) if client.url else None, route) for client in present]
        waited_s = time.monotonic() - began
        states = ("loads", "silent") if waited_s < SILENT_S else ("loads",)
        waiting = [worker.name for worker in workers if worker.state in states]
        if not waiting or any(worker.state == "refuses" for worker in workers) or waited_s > wait_s:
            return workers
        if before != (before := f"waiting for {', '.join(waiting)} to serve {route.model}"):
            say(before)
        time.sleep(_LOOK_S)


def served(workers: Sequence[Worker]) -> bool:
    """Whether no worker is known to lack the route; true where there is none: the next one begins with it."""
    return all(worker.state in ("serves", "silent") for worker in workers)


def in_words(route: Route, workers: Sequence[Worker]) -> list[str]:
    """Say who serves by a route, and who does not and why, a sentence each.

    >>> route = Route(model="churn", epoch=3, ts=0, champion="v2")
    >>> in_words(route, [Worker("worker-0", "serves"), Worker("worker-1", "refuses", "no module named 'xgboost'")])
    ["worker-1 cannot load churn v2: no module named 'xgboost'. It goes on as before, and tries again."]
    >>> in_words(route, [Worker("worker-0", "serves")])
    ['worker-0 serves it']
    """
    if not workers:
        return ["no worker runs; the route holds as soon as one does: `driftline up`, or `driftline worker`"]
    if all(worker.state == "serves" for worker in workers):
        names = [worker.name for worker in workers]
        return [f"{', '.join(names)} {'serves' if len(names) == 1 else 'serve'} it"]
    named = f"{route.model} {', '.join([route.champion, *sorted(route.canary), *route.shadows])}"
    text = {
        "refuses": "{name} cannot load {named}: {why}. It goes on as before, and tries again.",
        "loads": "{name} does not serve {named} yet; `driftline status` shows what it does",
        "silent": "{name} does not answer at {why}: whether it serves {named} already is not known; set roles.host to "
        "an address that can be reached from here (--no-wait does not ask)",
    }
    return [
        text[worker.state].format(name=worker.name, named=named, why=worker.why or "an address that it told")
        for worker in workers
        if worker.state != "serves"
    ]
