//! Overflow, rounding and casts of numbers.

use super::{check, check_over};

#[tokio::test(flavor = "multi_thread")]
async fn integer_overflow_is_an_error() {
    check(&[
        ("9223372036854775807 + 1", "error: DECIMAL(38, 0)"),
        ("2147483647::int + 1::int", "error: Int32"),
        ("2147483647::int * 2::int", "error: Int32"),
        ("-9223372036854775807 - 2", "error: DECIMAL(38, 0)"),
        (
            "x + 1 FROM (VALUES (9223372036854775807)) t(x)",
            "error: DECIMAL(38, 0)",
        ),
        ("-x FROM (VALUES (-9223372036854775807 - 1)) t(x)", "error: verflow"),
        (
            "-(client_hash - client_hash - 9223372036854775807 - 1) FROM events",
            "error: DECIMAL(38, 0)",
        ),
        (
            "max(client_hash * 0 + 9223372036854775807) + 1 FROM events",
            "error: DECIMAL(38, 0)",
        ),
        (
            "count(*) FROM events WHERE client_hash * 0 + 9223372036854775807 + 1 > 0",
            "error: DECIMAL(38, 0)",
        ),
        (
            "x - 1 FROM (VALUES (-9223372036854775807)) t(x)",
            "-9223372036854775808",
        ),
        ("9223372036854775807::decimal(38, 0) + 1", "9223372036854775808"),
        ("1 + NULL::bigint IS NULL", "true"),
        ("(-9223372036854775807 - 1) / -1", "error: verflow"),
        ("abs(x) FROM (SELECT -9223372036854775807 - 1 AS x)", "error: overflow"),
        ("3000000000::int", "error: Int32"),
        ("1e20::bigint", "error: Int64"),
        ("2 + 3 * 4 - 5", "9"),
        ("2 ^ 3", "error: power(a, b)"),
        ("7 / 2", "3"),
        ("-7 / 2", "-3"),
        ("-7 % 3", "-1"),
        ("7 % -3", "1"),
        ("1 % 0", "error: division by zero"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_overflow_as_errors() {
    const FROM: &str =
        "FROM (VALUES (9223372036854775807, 'a'), (9223372036854775806, 'b'), (-9223372036854775806, 'a')) t(x, k)";
    let cases = [
        ("sum(x) # WHERE x > 0", "error: sum(CAST(x AS DECIMAL(38, 0)))"),
        ("sum(x) #", "9223372036854775807"),
        ("sum(x) # GROUP BY k HAVING k = 'a'", "1"),
        (
            "sum(x) # WHERE x > 0 GROUP BY k = 'c'",
            "error: sum(CAST(x AS DECIMAL(38, 0)))",
        ),
        ("sum(DISTINCT x) # WHERE x > 0", "error: sum(CAST(x AS DECIMAL(38, 0)))"),
        ("sum(DISTINCT x), count(DISTINCT k) #", "9223372036854775807"),
        ("sum(x) OVER () # WHERE x > 0", "error: sum(CAST(x AS DECIMAL(38, 0)))"),
        (
            "sum(x) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) # WHERE x < 9223372036854775807",
            "-9223372036854775806",
        ),
        ("sum(x) FILTER (WHERE k = 'b') #", "9223372036854775806"),
        ("sum(x::decimal(38, 0)) # WHERE x > 0", "18446744073709551613"),
        ("sum(x + 1) #", "error: DECIMAL(38, 0)"),
        ("sum(x) # WHERE false", ""),
        (
            "sum(x::int) FROM (VALUES (2147483647), (2147483647)) t(x)",
            "4294967294",
        ),
        (
            "sum(x::decimal(38,0)) FROM (VALUES ('99999999999999999999999999999999999999'), ('1')) t(x)",
            "error: sum(CAST(x AS DOUBLE))",
        ),
    ];
    check_over(FROM, &cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn casts_to_integers_round() {
    check(&[
        ("CAST(2.5 AS INT)", "3"),
        ("CAST(-2.5 AS INT)", "-3"),
        ("2.7::bigint", "3"),
        ("CAST(CAST(2.5 AS DOUBLE) AS INT)", "2"),
        ("CAST(CAST(3.5 AS DOUBLE) AS BIGINT)", "4"),
        ("CAST(CAST(-1.5 AS DOUBLE) AS BIGINT)", "-2"),
        ("CAST(CAST(2.5 AS DECIMAL(10, 2)) AS INT)", "3"),
        ("CAST(CAST(-2.7 AS DECIMAL(10, 2)) AS INT)", "-3"),
        ("TRY_CAST(CAST(1e20 AS DOUBLE) AS INT) IS NULL", "true"),
        ("CAST('2.5' AS INT)", "error: Int32"),
        ("CAST(CAST('NaN' AS DOUBLE) AS INT)", "error: Int32"),
        ("CAST(1.235::decimal(10, 3) AS DECIMAL(10, 2))", "1.24"),
        ("round(2.345::decimal(10, 3), 2)", "2.350"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn truth_of_unknown_conditions_can_be_repeated() {
    const FROM: &str = "FROM (VALUES (1), (2), (NULL)) t(x)";
    let cases = [
        (
            "count(*) FILTER (WHERE (x = 1) IS TRUE) + 10 * count(*) FILTER (WHERE (x = 1) IS TRUE AND x < 5) #",
            "11",
        ),
        (
            "count(*) FILTER (WHERE (x = 1) IS NOT TRUE) + 10 * count(*) FILTER (WHERE (x = 1) IS NOT TRUE OR x = 1) #",
            "32",
        ),
        ("count(*) # WHERE (x = 1) IS FALSE", "1"),
        ("count(*) # WHERE (x = 1) IS NOT FALSE", "2"),
        ("count(*) # WHERE (x = 1) IS UNKNOWN", "1"),
        ("count(*) # WHERE (x = 1) IS NOT UNKNOWN", "2"),
        ("NULL IS NOT TRUE", "true"),
        ("NULL IS FALSE", "false"),
    ];
    check_over(FROM, &cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn averages_of_integers_are_exact() {
    // Added up as floating-point numbers, the small ones would be lost beside the large ones.
    const LARGE: &str =
        "FROM (VALUES (9007199254740993, 'a'), (3, 'a'), (-9007199254740993, 'a'), (NULL, 'b')) t(x, k)";
    let cases = [
        ("avg(x) #", "1.0"),
        ("avg(x) # WHERE k = 'b'", ""),
        ("max(a) FROM (SELECT k, avg(x) a # GROUP BY k)", "1.0"),
        ("count(a) FROM (SELECT k, avg(x) a # GROUP BY k)", "1"),
        ("avg(x) FILTER (WHERE x < 10 AND x > 0) #", "3.0"),
        (
            "max(a) FROM (SELECT k, avg(x) FILTER (WHERE x = 3) a # GROUP BY k)",
            "3.0",
        ),
        (
            "max(a) FROM (SELECT avg(x) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) a # WHERE x <= 3)",
            "-4503599627370495.0",
        ),
        ("avg(DISTINCT y) FROM (VALUES (1), (1), (3)) t(y)", "2.0"),
        ("avg(y) FROM (VALUES (1::smallint), (2::smallint)) t(y)", "1.5"),
        ("avg(y) FROM (VALUES (1.5::double), (2::double)) t(y)", "1.75"),
        (
            "avg(y) FROM (VALUES (1.5::decimal(10, 2)), (2::decimal(10, 2))) t(y)",
            "1.750000",
        ),
    ];
    check_over(LARGE, &cases).await;
}
