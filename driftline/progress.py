"""How far long work is: what a command hands to the work that it starts."""

from collections.abc import Callable

#: Given what is being done, how much of it is, and how much there is (None where that is not known).
OnProgress = Callable[[str, int, int | None], None]


def unwatched(what: str, done: int, total: int | None) -> None:
    """See `OnProgress`: its default, for work that nobody watches."""
