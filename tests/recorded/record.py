"""Records a demo: what it wrote to each topic, and its model's reference, for `test_recorded.py`.

    python tests/recorded/record.py tests/recorded/demo.msgpack.xz

A recording is made once a format, by the version that wrote it first, and stays: later versions must read it.
"""

import argparse
import lzma
import os
import re
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path

import msgspec
from recording import Record, Recording

from driftline.roles import parts
from driftline.settings import load
from streams.kafka import ranges
from streams.kafka.cluster import Cluster

#: Read whole, as the judge needs them; of the other topics so many records a partition.
WHOLE = ("models", "counts", "reports", "alerts", "retraining", "snapshots")
SAMPLE = 25


def records(cluster: Cluster, topic: str) -> list[Record]:
    """Records of a topic, of each partition in order."""
    gathered: list[Record] = []
    for partition, (low, high) in ranges.bounds(cluster, topic).items():
        rows = (
            Record(partition, *row)
            for block in ranges.read(cluster, topic, partition, low, high)
            for row in zip(block.offsets, block.times, block.keys, block.values, block.headers, strict=True)
        )
        gathered += rows if topic in WHOLE else islice(rows, SAMPLE)
    return gathered


def main() -> None:
    """Run a demo, read its topics, end it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("to", type=Path)
    parser.add_argument("--rows", default="200000")
    asked = parser.parse_args()
    command = [sys.executable, "-m", "driftline", "demo", "--keep", "--broken-every", "5000", "--rows", asked.rows]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, check=True, text=True).stdout.strip()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        settings_file = None
        for line in demo.stdout:
            sys.stdout.write(line)
            if named := re.search(r"DRIFTLINE_SETTINGS=(\S+)", line):
                settings_file = named.group(1)
            if line.startswith("running until"):
                break
        os.environ["DRIFTLINE_SETTINGS"] = settings_file
        settings = load(file=Path(settings_file))
        cluster = parts.cluster(settings)
        topics = {
            topic: records(cluster, topic)
            for topic in (*WHOLE, "requests", "predictions", "observations", "feedback", "outcomes", "dead-letters")
        }
        [reference] = Path(settings.registry).glob("*/*/reference.arrow")
        version, model = reference.parent.name, reference.parent.parent.name
        recording = Recording(commit, model, version, reference.read_bytes(), topics)
        demo.send_signal(signal.SIGINT)
        demo.stdout.read()
    asked.to.write_bytes(lzma.compress(msgspec.msgpack.encode(recording), preset=9))
    for topic, kept in topics.items():
        sys.stdout.write(f"{topic}: {len(kept):,} records, {sum(len(r.value or b'') for r in kept):,} bytes\n")
    sys.stdout.write(f"{asked.to}: {asked.to.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
