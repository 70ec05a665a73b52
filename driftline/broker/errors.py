"""What can be wrong with the embedded broker; every message ends with what to do."""


class BrokerError(RuntimeError):
    """The embedded broker cannot start, or stopped by itself."""


class JarsUnavailable(BrokerError):
    """Kafka's jars are neither in the cache nor to be had from the repository."""


class JarMismatch(BrokerError):
    """A downloaded jar is not the one that was tested: its sha256 differs."""


class FolderInUse(BrokerError):
    """Another broker holds the data directory."""
