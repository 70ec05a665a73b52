"""Where references come from: drift is handed a catalogue and asks no more."""

from typing import Protocol

from drift.reference.reference import Reference


class Unwatched(LookupError):
    """A model version that has no reference, or no longer: it serves, and nobody watches it."""


class Unusable(Unwatched):
    """A model version whose reference cannot be used as it is: it is gone, damaged or another one. This version alone
    is not watched; what is remembered of it is kept until it can be again.
    """


class Catalogue(Protocol):
    """Finds the reference of a model version. It may read files at the first call; it answers the same for ever."""

    def __call__(self, model: str, version: str) -> Reference:
        """Find a reference.

        Raises
        ------
        Unwatched
            The version is known and has none.
        Unusable
            It cannot be used as it is.
        streams.away.Away
            Where it lies does not answer; ask again.
        """
        ...
