"""Who reads a topic for a group right now, and where each of them answers over HTTP.

The group's coordinator is asked, so the list is exact: whoever is not on it gets no record. A member of ours tells its
role, slot and port in its client id; the coordinator knows the address that it came from.
"""

import confluent_kafka as ck
import msgspec
from confluent_kafka.admin import AdminClient

from streams.kafka.cluster import Cluster

_WAIT_S = 10.0
_MARK = "driftline/"


class Member(msgspec.Struct, frozen=True):
    """A member of a group. ``url`` is where its ``/status`` is; empty where it is none of ours."""

    name: str
    url: str


def client_id(role: str, slot: str, port: int) -> str:
    """Client id of a role's process.

    Parameters
    ----------
    slot
        What names the process among those of its role.
    port
        Port at which the process answers for its state.

    >>> client_id("worker", "0", 8090)
    'driftline/worker-0:8090'
    """
    return f"{_MARK}{role}-{slot}:{port}"


def member(client: str, host: str) -> Member:
    """Read a member as the coordinator describes it.

    >>> member("driftline/worker-0:8090", "/10.0.0.7")
    Member(name='worker-0', url='http://10.0.0.7:8090/status')
    >>> member("rdkafka", "/10.0.0.7")
    Member(name='rdkafka at 10.0.0.7', url='')
    """
    address = host.removeprefix("/")
    name, colon, port = client.removeprefix(_MARK).rpartition(":")
    if not (client.startswith(_MARK) and colon and port.isdecimal()):
        return Member(f"{client} at {address}", "")
    host = f"[{address}]" if ":" in address else address
    return Member(name, f"http://{host}:{port}/status")


def members(cluster: Cluster, group: str, admin: AdminClient | None = None) -> list[Member]:
    """Members of one of our groups now, by name; none where nobody has joined.

    Parameters
    ----------
    admin
        Asks; whoever asks often brings one.

    Raises
    ------
    confluent_kafka.KafkaException
        The coordinator does not answer.
    """
    name = cluster.prefix + group
    admin = admin or cluster.admin(log_level=2)
    try:
        group_description = admin.describe_consumer_groups([name], request_timeout=_WAIT_S)[name].result(_WAIT_S)
    except ck.KafkaException as error:
        if error.args[0].code() == ck.KafkaError.GROUP_ID_NOT_FOUND:
            return []
        raise
    known = (member(client.client_id, client.host) for client in group_description.members)
    return sorted(known, key=lambda client: client.name)
