-- A reader of Driftline's database on a ClickHouse of yours: for the page, Grafana and notebooks. Run it once as an
-- administrator: clickhouse-client --param_password='...' --multiquery < docker/clickhouse/reader.sql
-- (ON CLUSTER '...' after each name on a cluster). It sees one database, changes nothing, and sets only how long it waits.
CREATE SETTINGS PROFILE IF NOT EXISTS driftline_reader SETTINGS
    readonly = 1,
    max_execution_time = 30 MAX 60 CHANGEABLE_IN_READONLY,
    max_memory_usage = 2000000000;
CREATE USER IF NOT EXISTS driftline_reader IDENTIFIED WITH sha256_password BY {password:String}
    SETTINGS PROFILE driftline_reader;
GRANT SELECT ON driftline.* TO driftline_reader;

-- The writer needs these and no source (FILE, URL, REMOTE, S3 ...): GRANT FILE ON *.* or GRANT S3 ON *.* only where
-- references are to be fitted over a lake by SQL.
-- GRANT SELECT, INSERT, CREATE, DROP, ALTER ON driftline.* TO driftline;
