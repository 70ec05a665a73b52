"""Which part of a system listens on which port, and what to do where somebody else took it first."""

from driftline.broker.ports import free_port
from driftline.settings import Settings
from driftline.supervisor import ports
from driftline.supervisor.ports import Port

_SECTIONS = {"broker": "kafka", "store": "clickhouse", "page": "page"}


class PartPorts:
    """The ports of one system's parts.

    Parameters
    ----------
    settings
        What names them.
    any_port
        Take free ones by chance, so that several systems can start at the same moment.

    Attributes
    ----------
    given
        By section of the settings: `kafka`, `clickhouse`, `page`.
    roles
        By role, its own HTTP.
    """

    def __init__(self, settings: Settings, any_port: bool = False) -> None:
        self.any_port = any_port
        self._settings = settings
        named = {"kafka": settings.kafka.port, "clickhouse": settings.clickhouse.port, "page": settings.page.port}
        self.given = {section: free_port() if any_port else port for section, port in named.items()}
        self.roles: dict[str, int] = {}
        self._next = settings.roles.port

    def wanted(self) -> dict[str, Port]:
        """Ports of what is ours to start, by their setting."""
        return {port.key: port for port in ports.wanted(self.resolved())}

    def problems(self) -> list[str]:
        """What keeps the system from starting; ports by chance are free."""
        return [] if self.any_port else list(ports.problems(list(self.wanted().values())))

    def resolved(self) -> Settings:
        """The settings with the ports that were found."""
        moved = {
            section: getattr(self._settings, section).model_copy(update={"port": port})
            for section, port in self.given.items()
        }
        return self._settings.model_copy(update=moved)

    def next_for(self, role: str) -> int:
        """Set a free port aside for a role's own HTTP."""
        if self.any_port:
            self._next = free_port()
        aside = {port.number for key, port in self.wanted().items() if key != "roles.port"}
        port = ports.next_free(self._next, self._settings.roles.host, aside | set(self.roles.values()))
        self.roles[role] = port
        self._next = port + 1
        return port

    def lost(self, part: str) -> Port | None:
        """The port of a part that has just ended, if somebody else listens there now."""
        ports = [port for key, port in self.wanted().items() if key == f"{_SECTIONS.get(part)}.port"]
        if part in self.roles:
            ports.append(Port("roles.port", self._settings.roles.host, self.roles[part]))
        return next((port for port in ports if not port.free), None)

    def give_another(self, lost: Port) -> None:
        """Choose another port by chance, where no setting promises this one."""
        self.given[lost.key.partition(".")[0]] = free_port()


def role_and_slot(name: str) -> tuple[str, str]:
    """Role and slot of a part's name.

    >>> role_and_slot("worker-1"), role_and_slot("store")
    (('worker', '1'), ('store', '0'))
    """
    role, _, slot = name.partition("-")
    return role, slot or "0"
