//! Dates, times and time zones.

use footfall_model::access::SiteScope;

use super::{check, engine};
use crate::ScalarValue;
use crate::testing::{lake, rows, value};

#[tokio::test(flavor = "multi_thread")]
async fn days_of_a_zone_begin_at_its_midnight() {
    check(&[
        (
            "min(date_trunc('day', event_timestamp AT TIME ZONE 'Europe/Berlin')) FROM events",
            "2026-10-25T00:00:00+02:00",
        ),
        (
            "max(date_trunc('day', event_timestamp AT TIME ZONE 'Europe/Berlin')) FROM events",
            "2026-11-13T00:00:00+01:00",
        ),
        (
            "date_bin('1 day', event_timestamp AT TIME ZONE 'Europe/Berlin') FROM events",
            "error: date_trunc('day'",
        ),
        (
            "min(date_bin(INTERVAL '1 day', to_local_time(event_timestamp AT TIME ZONE 'Europe/Berlin'))) FROM events",
            "2026-10-25T00:00:00",
        ),
        (
            "min(date_bin('1 day', event_timestamp)) FROM events",
            "2026-10-25T00:00:00Z",
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cast_of_zoned_time_is_local() {
    check(&[
        (
            "min((event_timestamp AT TIME ZONE 'Europe/Berlin')::timestamp) FROM events",
            "2026-10-25T02:30:00",
        ),
        (
            "min((event_timestamp AT TIME ZONE 'America/New_York')::date) FROM events",
            "2026-10-24",
        ),
        (
            "min((event_timestamp AT TIME ZONE 'America/New_York')::timestamp::date) FROM events",
            "2026-10-24",
        ),
        ("min(event_timestamp::timestamp) FROM events", "2026-10-25T00:30:00"),
        (
            "extract(hour FROM max(event_timestamp) AT TIME ZONE 'Europe/Berlin') FROM events",
            "11",
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_without_seconds_are_read() {
    check(&[
        ("CAST('2026-11-25 10:00' AS TIMESTAMP)", "2026-11-25T10:00:00"),
        ("TIMESTAMP '2026-11-25 10:00'", "2026-11-25T10:00:00"),
        ("'2026-11-25T10:00'::timestamp", "2026-11-25T10:00:00"),
        (
            "CAST('2026-11-25 10:00+02:00' AS TIMESTAMP WITH TIME ZONE)",
            "2026-11-25T08:00:00Z",
        ),
        ("count(*) FROM events WHERE event_timestamp > '2026-11-13 09:59'", "1"),
        (
            "count(*) FROM events WHERE event_timestamp BETWEEN '2026-10-25 00:30' AND '2026-11-13 10:00'",
            "2",
        ),
        ("'2026-11-25'::date", "2026-11-25"),
        ("'2026-02-30'::date", "error: 2026-02-30"),
        ("CAST('2026-11-25 10' AS TIMESTAMP)", "error: 2026-11-25 10"),
    ])
    .await;
    let engine = engine().await;
    let sql = "SELECT count(*) FROM events WHERE event_timestamp > ?";
    let rows = rows(&engine, &SiteScope::All, sql, &[ScalarValue::from("2026-11-13 09:59")])
        .await
        .unwrap();
    assert_eq!(rows[0].column(0).as_ref(), &arrow::array::Int64Array::from(vec![1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_keep_the_hours_of_an_interval() {
    check(&[
        ("DATE '2026-11-25' + INTERVAL '1 hour'", "2026-11-25T01:00:00"),
        ("DATE '2026-11-25' - INTERVAL '90 minutes'", "2026-11-24T22:30:00"),
        ("INTERVAL '36 hours' + DATE '2026-11-25'", "2026-11-26T12:00:00"),
        ("DATE '2026-01-31' + INTERVAL '1 month'", "2026-02-28"),
        ("DATE '2026-03-31' - INTERVAL '1 month'", "2026-02-28"),
        (
            "TIMESTAMP '2026-01-31 10:00' + INTERVAL '1 month'",
            "2026-02-28T10:00:00",
        ),
        ("DATE '2026-03-01' - DATE '2026-02-01'", "28"),
        ("extract(dow FROM DATE '2026-11-22')", "0"),
        ("extract(isodow FROM DATE '2026-11-22')", "7"),
        ("extract(week FROM DATE '2027-01-01')", "53"),
        ("extract(doy FROM DATE '2026-11-22')", "326"),
        ("extract(epoch FROM TIMESTAMP '2026-11-25 10:00:05.5')", "1795600805.5"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_of_postgresql_are_read() {
    check(&[
        ("TO_TIMESTAMP('2026-01-01 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US')", "2026-01-01T00:00:00"),
        ("to_timestamp('2026-01-01 10:00:05.25', 'YYYY-MM-DD HH24:MI:SS.MS')", "2026-01-01T10:00:05.250"),
        ("to_timestamp('31.01.2026', 'DD.MM.YYYY')", "2026-01-31T00:00:00"),
        ("to_timestamp('2026-01-31 10:00:00', '%Y-%m-%d %H:%M:%S')", "2026-01-31T10:00:00"),
        ("to_date('31.01.2026', 'DD.MM.YYYY')", "2026-01-31"),
        ("to_char(TIMESTAMP '2026-11-25 10:00:05', 'YYYY-MM-DD HH24:MI:SS')", "2026-11-25 10:00:05"),
        ("to_char(TIMESTAMP '2026-11-25 10:00:05', '%Y-%m-%d')", "2026-11-25"),
        ("to_char(min(event_timestamp), 'Mon YYYY') FROM events", "Oct 2026"),
        ("to_char(now(), 'Month')", "error: FMMonth"),
        (
            "count(*) FROM events WHERE event_timestamp >= TO_TIMESTAMP('2026-11-01 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US')",
            "1",
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn now_is_a_time_of_utc() {
    let lake = lake().await;
    let engine = lake.engine();
    let clock = async |sql: &str| value(&engine, &SiteScope::All, sql).await;
    for now in ["now()", "current_timestamp"] {
        let hours = format!("date_part('epoch', {now} AT TIME ZONE 'Asia/Kathmandu') - date_part('epoch', {now})");
        assert_eq!(clock(&format!("SELECT {hours}")).await, "0.0", "the same moment");
        let hour = |zone: &str| format!("date_part('hour', {now} AT TIME ZONE '{zone}')");
        let later = format!("SELECT ({} - {} + 24) % 24", hour("+06:00"), hour("UTC"));
        assert_eq!(clock(&later).await, "6");
        assert_eq!(
            clock(&format!("SELECT arrow_typeof({now})")).await,
            "Timestamp(ns, \"UTC\")"
        );
    }
}
