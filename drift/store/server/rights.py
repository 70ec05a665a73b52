"""What the engine lets any client do, said to the engine itself in its own configuration: grants and fixed settings.

Nobody is granted a source (FILE, URL, REMOTE, S3 ...), SYSTEM, BACKUP, functions, dictionaries, named collections or
an engine that reaches past the folder. Settings that would open a way to files or to unchecked SQL are fixed. What
the engine has no right for stands in `gate`.
"""

from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape

from drift.store.server.statements import quoted

_EVERYWHERE = (
    "SHOW, SELECT, INSERT, CHECK, OPTIMIZE, TRUNCATE, KILL QUERY, "
    "CREATE DATABASE, CREATE TABLE, CREATE VIEW, CREATE TEMPORARY TABLE, DROP DATABASE, DROP TABLE, DROP VIEW, "
    "ALTER UPDATE, ALTER DELETE, ALTER COLUMN, ALTER INDEX, ALTER PROJECTION, ALTER CONSTRAINT, ALTER STATISTICS, "
    "ALTER TTL, ALTER SETTINGS, ALTER VIEW"
)
ENGINES = frozenset({
    "AggregatingMergeTree", "CoalescingMergeTree", "CollapsingMergeTree", "Log", "MaterializedView", "Memory", "Merge",
    "MergeTree", "Null", "ReplacingMergeTree", "StripeLog", "SummingMergeTree", "TinyLog",
    "VersionedCollapsingMergeTree", "View",
})  # fmt: skip
#: Settings that no client changes, with the value that holds; None leaves the engine's own.
FIXED: Mapping[str, str | None] = {
    # SQL in the text of values would be run without a look at it.
    "input_format_values_interpret_expressions": "0",
    "input_format_values_deduce_templates_of_expressions": "0",
    "allow_experimental_eval_table_function": "0",
    # What is checked is ClickHouse's SQL.
    "dialect": None,
    "implicit_select": "0",
    # These name files and addresses.
    "format_avro_schema_registry_url": None,
    "input_format_record_errors_file_path": None,
    "output_format_schema": None,
    "rename_files_after_processing": None,
    "format_schema": None,
    "format_schema_source": None,
    "format_template_row": None,
    "format_template_resultset": None,
    # Objects of this process, and its memory.
    "allow_python_table_function": "0",
    "allow_introspection_functions": "0",
    "default_table_engine": None,
    "default_temporary_table_engine": None,
    # Sets others that are fixed.
    "compatibility": None,
    # Bounds of the parser, before any other bound holds.
    "max_parser_depth": None,
    "max_parser_backtracks": None,
}
#: What holds for the reader besides, for memory and time of the machine's owner.
READER_SETTINGS: Mapping[str, str] = {"max_memory_usage": "2000000000", "max_execution_time": "60"}
#: Settings that the reader may give with a query; in the statement itself it may give none.
READER_MAY_SET = frozenset({
    "date_time_output_format",
    "extremes",
    "final",
    "join_use_nulls",
    "max_block_size",
    "max_bytes_to_read",
    "max_execution_time",
    "max_result_bytes",
    "max_result_rows",
    "max_rows_to_read",
    "max_threads",
    "network_compression_method",
    "output_format_native_write_json_as_string",
    "priority",
    "read_overflow_mode",
    "result_overflow_mode",
    "session_timezone",
    "timeout_overflow_mode",
})  # fmt: skip


def write_configuration(folder: Path, nothing: Path) -> Path:
    """Write the engine's configuration into a folder and return the file to name at its start.

    Parameters
    ----------
    folder
        Of nobody else.
    nothing
        A folder that is not there, for all paths that the engine would look for files of users in.
    """
    users, main = folder / "users.xml", folder / "engine.xml"
    users.write_text(_users())
    # The engine refuses such paths less often than a server does; there is nothing in them.
    paths = ("user_files_path", "user_scripts_path", "dictionaries_lib_path", "format_schema_path")
    named = "".join(f"<{path}>{escape(str(nothing))}/</{path}>" for path in paths)
    main.write_text(f"<clickhouse><users_config>{escape(str(users))}</users_config>{named}</clickhouse>")
    return main


def reader_settings(given: Mapping[str, str]) -> dict[str, str]:
    """Settings of a reader's query: what it gave, within its bounds.

    >>> reader_settings({"max_execution_time": "9000", "max_threads": "1"})["max_execution_time"]
    '60'
    """
    wanted = dict(given) | {name: _smaller(given.get(name, ""), bound) for name, bound in READER_SETTINGS.items()}
    return wanted | {"readonly": "1"}


def _smaller(value: str, bound: str) -> str:
    """The smaller of two numbers; no number, and 0, which is none at all, give the bound."""
    return value if value.isdecimal() and len(value) < 20 and 0 < int(value) < int(bound) else bound


def _users() -> str:
    values = "".join(f"<{name}>{value}</{name}>" for name, value in FIXED.items() if value is not None)
    fixed = "".join(f"<{name}><const/></{name}>" for name in FIXED)
    grants = [f"GRANT {_EVERYWHERE} ON *.*", *(f"GRANT TABLE ENGINE ON {engine}" for engine in sorted(ENGINES))]
    granted = "".join(f"<query>{escape(grant)}</query>" for grant in grants)
    return (
        "<clickhouse><quotas><default/></quotas>"
        f"<profiles><default>{values}<constraints>{fixed}</constraints></default></profiles>"
        "<users><default><password></password><networks><ip>127.0.0.1</ip><ip>::1</ip></networks>"
        f"<profile>default</profile><quota>default</quota><grants>{granted}</grants></default></users></clickhouse>"
    )


def default_database(metadata: Path) -> list[str]:
    """Statements that make ``default`` a database like any other.

    The engine opens it as one that shows the machine's files as tables (`SELECT * FROM "/etc/passwd"`), and then
    demands the right to read files for every name in it.
    """
    definition, link = metadata / "default.sql", metadata / "default"
    if not link.is_symlink():  # It never had a table, and the engine opens it under another number each time.
        definition.unlink(missing_ok=True)
    elif not definition.exists():  # Made before: its tables come along.
        definition.write_text(f"ATTACH DATABASE _ UUID {quoted(link.readlink().name)}\nENGINE = Atomic\n")
    made = "ATTACH DATABASE default" if definition.exists() else "CREATE DATABASE default ENGINE = Atomic"
    return ["DETACH DATABASE default", made]
