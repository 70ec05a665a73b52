"""The document's table of least ACLs is the table that the roles check."""

from itertools import groupby
from pathlib import Path

from driftline.roles import access

PAGE = Path(__file__).parents[3] / "docs" / "security.md"


def rows():
    """Rows of the table, in the order of `driftline.roles.access`."""
    whose = {**access.ROLES, "monitor, with `watch_topics`": access.watching(["TOPIC"]), **access.COMMANDS}
    for who, needs in whose.items():
        kinds = sorted(needs, key=lambda need: (need.kind != "topic", need.kind, need.operations))
        for (kind, operations), alike in groupby(kinds, key=lambda need: (need.kind, need.operations)):
            names = sorted({f"`{need.name.removeprefix('@')}{'*' * need.prefixed}`" for need in alike})
            if kind == "topic" and len(names) == 13:
                names = ["all"]
            allowed = ", ".join(one.title().replace("_", "") for one in operations)
            yield f"| {who} | {kind.replace('-', ' ')} | {', '.join(names)} | {allowed} |"


def test_the_table_of_least_acls_is_what_roles_and_commands_check():
    lines = PAGE.read_text().splitlines()
    start = lines.index("| who | kind | names | operations |") + 2
    written = lines[start : lines.index("", start)]
    assert written == list(rows()), "\n".join(rows())
