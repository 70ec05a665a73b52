"""The inference worker: named versions behind the Open Inference Protocol v2, in a process without Kafka.

It follows no routes. Whoever asks names a version, so that a route that changes changes nothing here; a process on a
machine with a device needs neither a broker, nor rights on topics, nor a group.
"""

import asyncio
from collections.abc import Sequence

from driftline.settings import Settings
from inference import Registry
from inference.oip.listening import Listening
from inference.oip.server import Server
from inference.oip.versions import Named, Versions
from streams.logs import escape_strangers
from streams.names import NameRefused, check_name


class NoVersion(ValueError):
    """An argument that names no version of a model."""


def run(settings: Settings, served: Sequence[str], listening: Listening) -> None:
    """Serve until SIGTERM or SIGINT.

    Parameters
    ----------
    settings
        Registry, device, whether code is trusted.
    served
        ``MODEL@VERSION``, each.
    listening
        Where.

    Raises
    ------
    NoVersion, NotListening
        An argument, a port or a certificate is at fault.
    RegistryError, ArtefactError
        A version cannot be loaded.
    Fatal
        Only a new process can go on.
    """
    escape_strangers()
    score, registry = settings.score, Registry(settings.registry)
    named = [named_version(text) for text in served]
    versions = Versions(lambda name, v: registry.load(name, v, score.device, trust_code=score.trust_code), named)
    asyncio.run(Server(versions, listening).run())


def named_version(text: str) -> Named:
    """Read ``MODEL@VERSION``.

    Raises
    ------
    NoVersion
        A part is missing, or is no name.

    >>> named_version("churn@v1")
    Named(model='churn', version='v1')
    """
    model, at, version = text.rpartition("@")
    if not at:
        raise NoVersion(f"{text!r} names no version; write MODEL@VERSION (`driftline model list` shows them)")
    try:
        return Named(check_name("model", model), check_name("version", version))
    except NameRefused as error:
        raise NoVersion(f"{text!r}: {error}") from error
