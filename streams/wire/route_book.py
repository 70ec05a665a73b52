"""The route book: what `models` says; the newest epoch of each model holds.

The topic is kept for ever, and anybody who may write to it may write anything: a record that is no route is passed
over, by every reader alike, with a warning that names its place.
"""

from streams.logs import logger
from streams.wire.records import Route
from streams.wire.route import RouteError, check_epoch, read_route

#: Records that are no routes, of which a book keeps place and reason.
_KEPT_MAX = 1_000

#: Routes that `RouteBook.former` goes back.
_FORMER_MAX = 5


class RouteBook:
    """Routes by model.

    Attributes
    ----------
    routes
        The one that holds, by model.
    history
        Every route that was news, in order.
    passed_over
        Why a record is no route, by its place; the first ones.

    >>> import msgspec
    >>> book = RouteBook()
    >>> book.apply(msgspec.json.encode(Route(model="m", epoch=1, ts=0, champion="v1"))).champion
    'v1'
    >>> book.apply(msgspec.json.encode(Route(model="m", epoch=1, ts=5, champion="v2"))) is None  # the first writer wins
    True
    """

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.history: list[Route] = []
        self.passed_over: dict[str, str] = {}
        self._warned = 0

    def apply(self, value: bytes | None, record: str = "models") -> Route | None:
        """Take one event; returns the route if it is news.

        Parameters
        ----------
        value
            The record's value. What is no route is passed over.
        record
            Where the record stands, for the warning.
        """
        try:
            route = read_route(value)
            known = self.routes.get(route.model)
            check_epoch(route, known.epoch if known else 0)
        except RouteError as error:
            if len(self.passed_over) < _KEPT_MAX:
                self.passed_over.setdefault(record, str(error))
            return None
        if known is not None and route.epoch <= known.epoch:
            return None
        self.routes[route.model] = route
        self.history.append(route)
        return route

    def warn(self) -> None:
        """Warn, in one line, of what was passed over since the last time."""
        news = list(self.passed_over.items())[self._warned :]
        self._warned += len(news)
        if news:
            record, why = news[0]
            fix = "`driftline model route` writes routes"
            logger("streams.routes").warning("routes.passed_over", place=record, why=why, records=len(news), fix=fix)

    def __getitem__(self, model: str) -> Route:
        return self.routes[model]

    def former(self, route: Route) -> list[Route]:
        """Routes of the same model before this one, the newest first; the last few of them."""
        before = [earlier for earlier in self.history if earlier.model == route.model and earlier.epoch < route.epoch]
        return before[: -_FORMER_MAX - 1 : -1]

    def default(self) -> str | None:
        """The model that a request without a name means: the only one, else none."""
        return next(iter(self.routes)) if len(self.routes) == 1 else None
