"""Who may read what, and that SQL changes nothing."""

import adbc_driver_flightsql.dbapi as flightsql
import pytest
from pyarrow import flight

from events import new_site, pageviews
from readers import ask_flight
from server import Server, wait_until

# Marks every event of the site that the reader must not see.
SECRET = "zq-secret-of-the-neighbour"

OURS, THEIRS = 30, 70


class Neighbours:
    def __init__(self, server: Server):
        # In the order of tracking ids the reader's site lies between two that it may not see.
        ours, before, after = "m-" + new_site(), "a-" + new_site(), "z-" + new_site()
        for site in (ours, before, after):
            server.create_site(site)
        self.site, self.others = ours, (before, after)
        batch = pageviews(ours, OURS, revenue="1")
        for other in self.others:
            secrets = {"revenue": "1000000", "event_type": SECRET, "user": {"user_id": SECRET}}
            batch += pageviews(other, THEIRS, **secrets, page={"url": f"https://x.example/{SECRET}", "title": SECRET})
        server.accept(batch)
        for site, count in ((ours, OURS), (before, THEIRS), (after, THEIRS)):
            server.wait_for_events(site, count)
        self.token = server.create_token("reader", [ours])


@pytest.fixture(scope="module")
def neighbours(shared_server: Server) -> Neighbours:
    return Neighbours(shared_server)


# A query and, where it must be a certain one, its answer.
MATRIX = [
    ("SELECT count(*) FROM events", OURS),
    ("SELECT count(1) FROM footfall.public.events", OURS),
    ('SELECT count(*) FROM "events" e', OURS),
    ("SELECT count(*) FROM events WHERE true OR tracking_id <> ''", OURS),
    ("SELECT count(*) FROM events WHERE tracking_id IN ('{before}', '{after}')", 0),
    ("SELECT count(*) FROM events WHERE tracking_id = '{after}' OR tracking_id = '{ours}'", OURS),
    ("SELECT count(*) FROM events WHERE NOT (tracking_id = '{ours}')", 0),
    ("SELECT count(*) FROM events WHERE tracking_id > '{ours}'", 0),
    ("SELECT count(*) FROM events WHERE event_type = '" + SECRET[:3] + "' || '" + SECRET[3:] + "'", 0),
    ("SELECT count(DISTINCT tracking_id) FROM events", 1),
    ("SELECT min(tracking_id) FROM events", "{ours}"),
    ("SELECT max(tracking_id) FROM events", "{ours}"),
    ("SELECT approx_distinct(tracking_id) FROM events", 1),
    ("SELECT sum(revenue) < 1000000 FROM events", True),
    ("SELECT max(revenue) < 1000000 FROM events", True),
    ("SELECT count(*) FROM (SELECT * FROM events UNION ALL SELECT * FROM events)", 2 * OURS),
    ("WITH everything AS (SELECT * FROM events) SELECT count(*) FROM everything", OURS),
    ("SELECT (SELECT count(*) FROM events)", OURS),
    ("SELECT count(*) FROM events a JOIN events b ON a.event_id = b.event_id", OURS),
    ("SELECT count(*) FROM (VALUES (1)) v(x) WHERE EXISTS (SELECT 1 FROM events WHERE tracking_id = '{after}')", 0),
    ("SELECT count(*) FROM (VALUES ('{after}')) v(x) WHERE x IN (SELECT tracking_id FROM events)", 0),
    ("SELECT count(*) FROM (SELECT tracking_id FROM events INTERSECT SELECT '{before}')", 0),
    ("SELECT count(*) FROM events FULL JOIN (VALUES ('{after}')) v(x) ON x = tracking_id WHERE x IS NULL", OURS),
    ("SELECT count(*) OVER () FROM events LIMIT 1", OURS),
    ("SELECT DISTINCT tracking_id FROM events", "{ours}"),
    ("SELECT * FROM events ORDER BY revenue DESC LIMIT 5", None),
    ("SELECT event_type FROM events GROUP BY GROUPING SETS ((event_type), ()) ORDER BY 1", None),
    ("SELECT array_agg(page_title) FROM events", None),
    ("SELECT event_type, user_id, page_url FROM events LIMIT 1000 OFFSET 1", None),
    ("EXPLAIN SELECT * FROM events", None),
    ("SELECT * FROM information_schema.tables", None),
    ("SELECT * FROM information_schema.columns", None),
    ("SHOW TABLES", None),
    ("DESCRIBE events", None),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "answer"), MATRIX, ids=[sql[:60] for sql, _ in MATRIX])
def test_reader_sees_only_its_site(server: Server, neighbours: Neighbours, sql: str, answer):
    before, after = neighbours.others
    names = {"ours": neighbours.site, "before": before, "after": after}
    table = server.query(sql.format(**names), token=neighbours.token)
    text = str(table.to_pylist())
    assert SECRET not in text
    # A plan repeats what the query itself says, and nothing else may name the others.
    for other in neighbours.others:
        assert other not in text
    if answer is not None:
        expected = answer.format(**names) if isinstance(answer, str) else answer
        assert [list(row.values()) for row in table.to_pylist()] == [[expected]]


def test_parameters_respect_isolation(server: Server, neighbours: Neighbours):
    sql = "SELECT count(*) FROM events WHERE tracking_id = ? OR ?"
    assert server.query(sql, [neighbours.others[0], True], token=neighbours.token).to_pydict() == {"count(*)": [OURS]}


def test_admin_sees_both_sites(server: Server, neighbours: Neighbours):
    sites = "', '".join([neighbours.site, *neighbours.others])
    sql = f"SELECT count(*) AS n FROM events WHERE tracking_id IN ('{sites}')"
    assert server.query(sql).to_pylist() == [{"n": OURS + 2 * THEIRS}]


def test_answers_are_not_shared_between_readers(server: Server, neighbours: Neighbours):
    """Three principals repeat the same SQL: no answer may be cached across them."""
    theirs = server.create_token("reader", list(neighbours.others))
    none = server.create_token("reader", [server.create_site(new_site())])
    sql = "SELECT count(*) AS n, max(page_title) = '" + SECRET + "' AS secret FROM events"
    for _ in range(3):
        assert server.query(sql, token=neighbours.token).to_pylist() == [{"n": OURS, "secret": False}]
        assert server.query(sql, token=theirs).to_pylist() == [{"n": 2 * THEIRS, "secret": True}]
        assert server.query(sql, token=none).to_pylist() == [{"n": 0, "secret": None}]


def test_ticket_grants_no_access(server: Server, neighbours: Neighbours):
    """A ticket that the admin got, redeemed by a reader, gives the reader's rows."""
    with server.connect() as connection, connection.cursor() as cursor:
        partitions, _ = cursor.adbc_execute_partitions("SELECT count(*) AS n FROM events")
    with server.cursor(neighbours.token) as cursor:
        cursor.adbc_read_partition(partitions[0])
        assert cursor.fetchone() == (OURS,)


# Permission denied, and not offered.
REFUSALS = (flightsql.ProgrammingError, flightsql.NotSupportedError)

REFUSED = [
    "CREATE TABLE t (a INT)",
    "CREATE TABLE t AS SELECT * FROM events",
    "CREATE VIEW v AS SELECT * FROM events",
    "CREATE OR REPLACE VIEW events AS SELECT 1",
    "CREATE SCHEMA s",
    "CREATE DATABASE d",
    "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
    "CREATE FUNCTION f(INT) RETURNS INT RETURN $1",
    "DROP TABLE events",
    "DROP VIEW events",
    "DROP SCHEMA public",
    "ALTER TABLE events ADD COLUMN a INT",
    "TRUNCATE TABLE events",
    "INSERT INTO events (tracking_id) VALUES ('x')",
    "INSERT INTO events SELECT * FROM events",
    "UPDATE events SET revenue = 0",
    "DELETE FROM events",
    "MERGE INTO events USING events AS e ON true WHEN MATCHED THEN DELETE",
    "COPY events TO '/tmp/events.parquet'",
    "COPY (SELECT 1) TO '/tmp/one.csv'",
    "SET datafusion.execution.batch_size = 1",
    "BEGIN",
    "COMMIT",
    "GRANT ALL ON events TO PUBLIC",
    "VACUUM",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
]


@pytest.mark.parametrize("who", ["admin", "reader"])
@pytest.mark.parametrize("sql", REFUSED)
def test_sql_is_read_only(server: Server, neighbours: Neighbours, sql: str, who: str):
    token = neighbours.token if who == "reader" else None
    with server.cursor(token) as cursor, pytest.raises(REFUSALS) as caught:
        cursor.execute(sql)
    assert "read-only" in str(caught.value).lower()
    assert server.query("SELECT count(*) AS n FROM events", token=neighbours.token).to_pylist() == [{"n": OURS}]


@pytest.mark.parametrize("how", ["ANALYZE", "VERBOSE"])
def test_plan_figures_are_hidden_from_readers(server: Server, neighbours: Neighbours, how: str):
    """They reveal how much of other sites' rows was read."""
    with server.cursor(neighbours.token) as cursor, pytest.raises(flightsql.ProgrammingError):
        cursor.execute(f"EXPLAIN {how} SELECT count(*) FROM events WHERE page_title LIKE '%q-secre%'")
    assert server.query(f"EXPLAIN {how} SELECT count(*) FROM events").num_rows > 0


@pytest.mark.parametrize("sql", ["EXPLAIN ANALYZE DELETE FROM events", "COPY events FROM '/etc/passwd'"])
def test_partial_statement_changes_nothing(server: Server, neighbours: Neighbours, sql: str):
    for token in (None, neighbours.token):
        with server.cursor(token) as cursor, pytest.raises(REFUSALS):
            cursor.execute(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM '/etc/hostname.csv'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM 'https://x.example/a.parquet'",
        'SELECT * FROM "shard=00/events/_delta_log/00000000000000000000.json"',
    ],
)
def test_sql_reaches_no_files(server: Server, sql: str):
    with server.cursor() as cursor, pytest.raises(REFUSALS):
        cursor.execute(sql)


@pytest.mark.parametrize("sql", ["CREATE TABLE t (a INT)", "INSERT INTO events SELECT * FROM events"])
def test_updates_are_refused(server: Server, sql: str):
    """`executemany` is an update on the wire, not a query."""
    with server.cursor() as cursor, pytest.raises(REFUSALS) as caught:
        cursor.executemany(sql, [[1]])
    assert "read-only" in str(caught.value).lower()


def test_bulk_ingest_is_refused_with_hint(server: Server, site: str):
    table = server.query("SELECT * FROM events LIMIT 1")
    with server.cursor() as cursor, pytest.raises(flightsql.NotSupportedError) as caught:
        cursor.adbc_ingest("events", table, mode="append")
    assert "/api/v1/events" in str(caught.value)


@pytest.mark.parametrize("token", ["nonsense", "ffp_" + "0" * 64, ""])
def test_wrong_token_is_refused(server: Server, token: str):
    with pytest.raises(flightsql.ProgrammingError, match="(?i)unauthenticated"):
        server.query("SELECT 1", token=token or " ")
    with pytest.raises(flight.FlightUnauthenticatedError):
        ask_flight(server, "SELECT 1", token)


def test_missing_token_is_refused(server: Server):
    with pytest.raises(flightsql.ProgrammingError, match="(?i)unauthenticated"):
        with flightsql.connect(server.flight, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1")


def test_wrong_password_is_refused(server: Server):
    options = {"username": "token", "password": "wrong"}
    with pytest.raises(flightsql.ProgrammingError, match="(?i)unauthenticated"):
        flightsql.connect(server.flight, db_kwargs=options, autocommit=True)


def test_writer_may_not_read(server: Server, site: str):
    token = server.create_token("writer", [site])
    with pytest.raises(flightsql.ProgrammingError, match="(?i)unauthorized|permission"):
        server.query("SELECT count(*) FROM events", token=token)


def test_revoked_token_stops_working(server: Server, site: str):
    made = server.administer("POST", "/api/v1/tokens", {"role": "reader", "sites": [site]}).json()
    assert server.query("SELECT 1 AS one", token=made["secret"]).num_rows == 1
    assert server.administer("POST", f"/api/v1/tokens/{made['token']['id']}/revoke").status == 200

    def refused() -> bool:
        try:
            server.query("SELECT 1", token=made["secret"])
        except flightsql.ProgrammingError:
            return True
        return False

    wait_until(refused, "the revoked token is refused", seconds=15)


def test_administration_needs_admin_token(server: Server, neighbours: Neighbours):
    assert server.request("GET", "/api/v1/sites").status == 401
    assert server.administer("GET", "/api/v1/sites", token="nonsense").status == 401
    for method, path in (("GET", "/api/v1/sites"), ("GET", "/api/v1/tokens"), ("POST", "/api/v1/tokens")):
        assert server.administer(method, path, {} if method == "POST" else None, neighbours.token).status == 403


def test_no_secret_is_logged(server: Server, neighbours: Neighbours):
    server.query("SELECT 1", token=neighbours.token)
    log = server.log.read_text(errors="replace")
    assert neighbours.token not in log
    assert server.admin_token not in log
