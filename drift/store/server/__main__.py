"""``python -m drift.store.server FOLDER``: the embedded store alone; says its address as a line of JSON."""

import argparse
import json
import sys

from drift.store.server.process import serve


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m drift.store.server", description="Serve a folder as ClickHouse.")
    parser.add_argument("folder")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--parent", type=int, help="process id to live no longer than")
    args = parser.parse_args()

    def ready(address: tuple[str, int]) -> None:
        sys.stdout.write(json.dumps(address) + "\n")
        sys.stdout.flush()

    serve(args.folder, args.host, args.port, parent=args.parent, ready=ready)


if __name__ == "__main__":
    main()
