"""Where references come from: drift is handed a catalogue and asks no more."""

from typing import Protocol

from drift.reference import Reference


class UnknownModel(LookupError):
    """A model version that the catalogue does not hold; the text names it and the remedy."""


class Catalogue(Protocol):
    """Finds the reference of a model version. It may read files at the first call; it answers the same for ever."""

    def __call__(self, model: str, version: str) -> Reference:
        """Find a reference.

        Raises
        ------
        UnknownModel
            There is no such version, or it has no reference.
        """
        ...
