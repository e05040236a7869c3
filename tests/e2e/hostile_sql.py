"""Statements that ask for more than there is: to plan, or to compute. Each is legal for a reader of one site.

As a program it sends PLANNED, in turn and all at once: `hostile_sql.py FLIGHT STATEMENTS TOKEN...`. A process of its
own, since results of thousands of columns keep all threads of a client busy. It prints server faults, and at last how
many statements were answered and how many refused."""

import sys
import threading

import adbc_driver_flightsql.dbapi as flightsql
from adbc_driver_flightsql import DatabaseOptions


def _list(items: int, separator: str, item: str) -> str:
    return separator.join(item.format(n=n) for n in range(1, items + 1))


# Take long to plan, or would if constants were computed for the plan. A few rows: to fetch many is no work of planning.
PLANNED = {
    "md5 of constants": "SELECT " + _list(150, ", ", "md5(repeat('a', 15000000)) AS c{n}") + " FROM events",
    "length of constants": "SELECT " + _list(30, ", ", "length(repeat('x', 15000000)) AS c{n}") + " FROM events",
    "joins": "SELECT * FROM events e " + _list(40, " ", "JOIN events e{n} ON e{n}.event_id = e.event_id") + " LIMIT 10",
    "unions": _list(40, " UNION ALL ", "SELECT * FROM events") + " LIMIT 10",
    "IN": "SELECT count(*) FROM events WHERE page_url IN (" + _list(15000, ", ", "'{n}'") + ")",
    "aggregates": "SELECT " + _list(300, ", ", "sum(client_hash % {n}) AS c{n}") + " FROM events",
    "columns": "SELECT " + _list(2000, ", ", "client_hash % {n} AS c{n}") + " FROM events LIMIT 10",
}

# Compute for hours.
COMPUTED = {
    "cross join": "SELECT sum(a.client_hash % 7 + b.client_hash % 5) FROM events a, events b, events c",
    "nested loops": "SELECT count(*) FROM generate_series(1, 300000) a JOIN generate_series(1, 30000000) b "
    "ON a.value + b.value < 0",
    "hash join of one key": "SELECT count(*) FROM generate_series(1, 300000) a JOIN generate_series(1, 30000000) b "
    "ON a.value % 2 = b.value % 2 AND a.value + b.value < 0",
    "recursion": "WITH RECURSIVE n AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM n) SELECT sum(x) FROM n",
    "window": "SELECT sum(n) FROM (SELECT row_number() OVER (ORDER BY value % 1000, value) AS n "
    "FROM generate_series(1, 1000000000))",
    "groups": "SELECT count(*) FROM (SELECT md5(value::text), count(*) FROM generate_series(1, 1000000000) GROUP BY 1)",
    "unnest": "SELECT sum(x) FROM (SELECT unnest(array_repeat(value, 700)) AS x FROM generate_series(1, 1000000000))",
    "pattern": "SELECT count(*) FROM generate_series(1, 1000000000) "
    "WHERE repeat(md5(value::text), 10) ~ '(\\w{1,30}x){20}$'",
}


def _ask(flight: str, token: str, sql: str) -> str:
    """An answer and a refusal are both fine; the server's own fault is not."""
    options = {DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {token}"}
    try:
        with flightsql.connect(flight, db_kwargs=options, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            for _ in cursor.fetch_record_batch():
                pass
    except Exception as error:  # noqa: BLE001
        # The driver says INTERNAL of what is exhausted too.
        return str(error)[:300] if "(Internal;" in str(error) else "refused"
    return "answered"


def main() -> None:
    flight, statements, *tokens = sys.argv[1:]
    queries = [*PLANNED.values()]
    outcomes = []

    def ask(number: int) -> None:
        outcomes.append(_ask(flight, tokens[number % len(tokens)], queries[number % len(queries)]))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(int(statements))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for fault in set(outcomes) - {"answered", "refused"}:
        print(fault)
    print(f"{outcomes.count('answered')} answered, {outcomes.count('refused')} refused")


if __name__ == "__main__":
    main()
