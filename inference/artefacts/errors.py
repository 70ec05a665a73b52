"""What goes wrong with a model file."""


class ArtefactError(ValueError):
    """A model file that is refused or cannot be loaded; the text names the file and the remedy."""


class UntrustedCodeError(ArtefactError):
    """A model that is code, from a place that nobody vouched for."""
