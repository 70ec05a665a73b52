"""What a user may do on a cluster with ACLs: asked of the brokers beforehand, and said with its remedy."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import confluent_kafka as ck
import msgspec
from confluent_kafka import TopicCollection
from confluent_kafka.admin import AclOperation

from streams.kafka.cluster import Cluster

Operation = Literal["read", "write", "describe", "describe_configs", "alter", "create"]
Kind = Literal["topic", "group", "transactional-id", "cluster"]

_WAIT_S = 10.0
_DENIED = {
    ck.KafkaError.TOPIC_AUTHORIZATION_FAILED: "topic",
    ck.KafkaError.GROUP_AUTHORIZATION_FAILED: "group",
    ck.KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "transactional-id",
    ck.KafkaError.CLUSTER_AUTHORIZATION_FAILED: "cluster",
}


class AccessError(RuntimeError):
    """This user may not do what is needed; the text says what, and the command that allows it."""


class Need(msgspec.Struct, frozen=True):
    """Operations on one resource.

    Attributes
    ----------
    kind, name
        Which one; the name is logical, without the deployment's prefix.
    operations
        Kafka's, in lower case. Read, write and alter imply describe.
    prefixed
        All resources that begin with the name.
    """

    kind: Kind
    name: str
    operations: tuple[Operation, ...]
    prefixed: bool = False

    def resource(self, cluster: Cluster) -> str:
        """Name on the cluster."""
        if self.kind == "topic":
            return cluster.topic(self.name)
        return self.name if self.kind == "cluster" else cluster.prefix + self.name


def denied(error: ck.KafkaError) -> Kind | None:
    """The kind of resource that an ACL is missing for, by an error's code; None for another error."""
    return _DENIED.get(error.code())  # type: ignore[return-value]


def lacking(cluster: Cluster, needs: Iterable[Need]) -> list[Need]:
    """Needs with the operations that this user may not do; empty where all is allowed, or the broker does not tell.

    Transactional ids cannot be asked for: whoever opens one is told (see `streams.runtime.transactions`). A topic or
    group that is not there is asked for all the same.

    Raises
    ------
    ck.KafkaException
        The broker does not answer.
    """
    wanted = tuple(needs)
    admin = cluster.admin(log_level=2)  # it must outlive its futures
    named = {need: need.resource(cluster) + ("0" if need.prefixed else "") for need in wanted}
    topics = sorted({name for need, name in named.items() if need.kind == "topic"})
    groups = sorted({name for need, name in named.items() if need.kind == "group"})
    options: Mapping[str, Any] = {"include_authorized_operations": True, "request_timeout": _WAIT_S}
    answers: dict[tuple[Kind, str], Any] = {}
    if topics:
        topic_answers = admin.describe_topics(TopicCollection(topics), **options)
        answers |= {("topic", name): future for name, future in topic_answers.items()}
    if groups:
        answers |= {("group", name): f for name, f in admin.describe_consumer_groups(groups, **options).items()}
    allowed = {resource: allowed_operations(resource[0], future) for resource, future in answers.items()}
    missing = []
    for need, name in named.items():
        may = allowed.get((need.kind, name))
        if may is None:
            continue
        if left := tuple(operation for operation in need.operations if AclOperation[operation.upper()] not in may):
            missing.append(msgspec.structs.replace(need, operations=left))
    return missing


def allowed_operations(kind: Kind, future: Any) -> set[AclOperation] | None:
    """Operations that an answer of the admin client allows; None where the broker does not tell.

    Of a group whose topics we may not describe nothing is told.
    """
    try:
        operations = future.result(_WAIT_S).authorized_operations
    except ck.KafkaException as error:
        return set() if denied(error.args[0]) == kind else None
    return None if operations is None else set(operations)


def require(cluster: Cluster, needs: Sequence[Need]) -> None:
    """See that this user may do all of it.

    Raises
    ------
    AccessError
        It may not; the text names all that is missing, each with the command that allows it.
    ck.KafkaException
        The broker does not answer.
    """
    if missing := lacking(cluster, needs):
        raise AccessError("\n".join(f"{lacks(cluster, need)}; {command(cluster, need)}" for need in missing))


def lacks(cluster: Cluster, need: Need) -> str:
    """What is missing, in words.

    >>> lacks(Cluster(bootstrap="b:9092", prefix="prod.", options={"sasl.username": "ana"}),
    ...       Need("group", "score-", ("read",), prefixed=True))
    'User:ana lacks READ on groups that begin with prod.score-'
    """
    kind = need.kind.replace("-", " ")
    where = f"{kind}s that begin with" if need.prefixed else kind
    operations = " and ".join(operation.upper() for operation in need.operations)
    return f"{_user(cluster) or 'this user'} lacks {operations} on {where} {need.resource(cluster)}"


def command(cluster: Cluster, need: Need, user: str = "") -> str:
    """The command that allows it, for Kafka's own tool.

    Parameters
    ----------
    need
        What is lacking; its name is logical, the command has that on the cluster.
    user
        Principal, such as ``User:ana``; by default that of the cluster's options.

    >>> command(Cluster(bootstrap="b:9092", options={"sasl.username": "ana"}), Need("topic", "predictions", ("write",)))
    'kafka-acls.sh --bootstrap-server b:9092 --add --allow-principal User:ana --operation Write --topic predictions'
    """
    operations = " ".join(f"--operation {operation.title().replace('_', '')}" for operation in need.operations)
    resource = "--cluster" if need.kind == "cluster" else f"--{need.kind} {need.resource(cluster)}"
    prefixed = " --resource-pattern-type prefixed" if need.prefixed else ""
    principal = user or _user(cluster) or "User:NAME"
    add = f"kafka-acls.sh --bootstrap-server {cluster.bootstrap} --add --allow-principal {principal}"
    return f"{add} {operations} {resource}{prefixed}"


def _user(cluster: Cluster) -> str:
    """Principal of this user as far as the options tell; a certificate's is mapped by the broker."""
    name = cluster.options.get("sasl.username") or cluster.options.get("sasl.oauthbearer.client.id")
    return f"User:{name}" if name and not name.startswith(("env:", "file:")) else ""
