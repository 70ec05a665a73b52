"""The log, for checks that say nothing where it is away: the check `kafka` says so."""

from streams.kafka.cluster import Cluster
from streams.kafka.reach import ANSWER_S, unreachable


def is_away(log: Cluster) -> bool:
    """Whether nobody answers at any of its addresses."""
    return all(unreachable(address) for address in log.bootstrap.split(","))


def has(log: Cluster, topic: str) -> bool:
    """Whether somebody answers, and one of our topics is there."""
    from streams.kafka.admin import partition_counts

    return not is_away(log) and topic in partition_counts(log, timeout_s=ANSWER_S)
