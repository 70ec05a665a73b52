"""Where references come from: drift is handed a catalogue and asks no more."""

from typing import Protocol

from drift.reference import Reference


class Unwatched(LookupError):
    """A model version that has no reference: it serves, and nobody watches it. Any other failure is an error."""


class Catalogue(Protocol):
    """Finds the reference of a model version. It may read files at the first call; it answers the same for ever."""

    def __call__(self, model: str, version: str) -> Reference:
        """Find a reference.

        Raises
        ------
        Unwatched
            The version is known and has none.
        """
        ...
