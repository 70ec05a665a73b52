"""Makes `jars.sha256` anew: `python -m driftline.broker.pin`, after a change of version here or in `jars`.

This is the only place where dependencies are resolved; what it found is read in review, then pinned.
"""

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

from driftline.broker.jars import KAFKA_VERSION, PINS, maven

ROOTS = (
    ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
    ("org.slf4j", "slf4j-simple", "1.7.36"),  # The smallest logger for the API that Kafka is built against.
)


def resolve(folder: Path) -> str:
    """Download the jars of `ROOTS` and all that they need to run into `folder`; return the pin file's text."""
    from jgo.parse import Coordinate

    context = maven(folder)
    roots = [
        context.create_dependency(Coordinate(group, artifact, version=version, scope="compile"))
        for group, artifact, version in ROOTS
    ]
    resolved, needed = context.resolver.resolve(roots)
    jars = [each.artifact.resolve() for each in resolved + needed if each.scope in ("compile", "runtime")]
    lines = [f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.relative_to(folder).as_posix()}" for jar in jars]
    return "\n".join(sorted(lines, key=lambda line: line.split()[1])) + "\n"


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        PINS.write_text(resolve(Path(folder)))
