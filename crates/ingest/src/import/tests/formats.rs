//! What the readers make of files.

use arrow::array::{
    Array, Date32Array, Float64Array, Int64Array, MapBuilder, StringArray, StringBuilder, StructArray,
    TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Int64Type, TimestampMicrosecondType};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn ndjson_keeps_text_as_written() {
    let lake = Lake::new().await;
    let properties = r#"{"order":123456789012345678901234567890,"price":1.10,"a":[1E5,{"z":null}]}"#;
    let content = [
        line(&format!(r#","client_id2":0,"custom_properties":{properties}"#))
            .replace(r#""client_id":"1""#, r#""client_id":98765432109876543210987"#),
        line(r#","session_id":true,"user_id":-0.50,"page_title":null,"custom_properties":"{\"b\":2,\"a\":1.0}""#),
    ];
    lake.import_text("x.ndjson", &content.join("\n")).await;
    assert_eq!(lake.texts("client_id").await, ["1", "98765432109876543210987"]);
    assert_eq!(
        lake.texts("custom_properties").await,
        [r#"{"b":2,"a":1.0}"#, properties]
    );
    assert_eq!(lake.texts("session_id").await, ["null", "true"]);
    assert_eq!(lake.texts("user_id").await, ["-0.50", "null"].map(String::from));
}

#[tokio::test(flavor = "multi_thread")]
async fn byte_order_mark_is_skipped() {
    let lake = Lake::new().await;
    assert_eq!(
        lake.import_text("x.ndjson", &format!("\u{feff}{}", line("")))
            .await
            .imported,
        1
    );
    let csv = "\u{feff}tracking_id,client_id,event_type,event_timestamp\r\na,2,x,2026-10-31T10:00:00Z\r\n";
    assert_eq!(lake.import_text("x.csv", csv).await.imported, 1);
    assert_eq!(lake.texts("client_id").await, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_read_as_over_http() {
    let lake = Lake::new().await;
    let millis = (NOW - 3_600_000_000) / 1_000;
    for (index, time) in [
        millis.to_string(),
        format!("{millis}.5"),
        "2026-10-31T23:00:00Z".into(),
        "2026-10-31 23:00:00+00".into(),
        "2026-11-01T00:00:00.25+0100".into(),
    ]
    .iter()
    .enumerate()
    {
        let csv = format!("tid,cid,et,ts\na,csv-{index},x,{time}");
        lake.import_text(&format!("{index}.csv"), &csv).await;
        let json = line("").replace(r#""1""#, &format!(r#""json-{index}""#));
        let json = json.replace("2026-10-31T10:00:00Z", time);
        lake.import_text(&format!("{index}.ndjson"), &json).await;
    }
    let number = line("").replace(r#""2026-10-31T10:00:00Z""#, &millis.to_string());
    lake.import_text("number.ndjson", &number).await;
    let rows = lake.rows(&["client_id", "event_timestamp"]).await;
    let clients = rows.column_by_name("client_id").unwrap().as_string::<i32>();
    let times = rows.column_by_name("event_timestamp").unwrap();
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let found: BTreeMap<_, _> = clients
        .iter()
        .map(Option::unwrap)
        .zip(times.values().iter().copied())
        .collect();
    let hour = NOW - 3_600_000_000;
    for (index, expected) in [hour, hour + 500, hour, hour, hour + 250_000].into_iter().enumerate() {
        for format in ["csv", "json"] {
            assert_eq!(
                found[format!("{format}-{index}").as_str()],
                expected,
                "{format} {index}"
            );
        }
    }
    assert_eq!(found["1"], hour);
}

#[tokio::test(flavor = "multi_thread")]
async fn line_may_have_the_form_of_http() {
    let lake = Lake::new().await;
    let nested = concat!(
        r#"{"tracking_id":"a","client_id":"1","event_type":"x","timestamp":1793487600000,"messageId":"m","sent_at":1,"#,
        r#""page":{"url":"https://x.org/p?utm_source=no","title":"T","colour":"red"},"utm":{"source":"s"},"#,
        r#""user":{"user_id":7,"country":"de"},"new":1,"page_title":"beaten","#,
        r#""custom_properties":{"revenue":"2.50"}}"#
    );
    let report = lake.import_text("x.ndjson", nested).await;
    assert_eq!(report.ignored, ["new", "page.colour"].map(String::from).into());
    for (column, expected) in [
        ("event_id", "m"),
        ("page_url", "https://x.org/p?utm_source=no"),
        ("page_title", "T"),
        ("utm_source", "s"),
        ("user_id", "7"),
        ("country", "DE"),
        ("revenue", "2.5000"),
    ] {
        assert_eq!(lake.texts(column).await, [expected], "{column}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_of_other_types_is_cast() {
    let lake = Lake::new().await;
    let path = lake.folder.path().join("x.parquet");
    let millis = NOW / 1_000;
    let times = [5_000_000, 4_000_000, 1_000_000, 3_999_999].map(|ago| millis - ago);
    parquet(
        &path,
        vec![
            ("tracking_id", Arc::new(StringArray::from(vec!["a"; 4])) as ArrayRef),
            ("client_id", Arc::new(Int64Array::from(vec![7; 4]))),
            ("event_type", Arc::new(StringArray::from(vec!["pageview"; 4]))),
            (
                "event_timestamp",
                Arc::new(TimestampMillisecondArray::from(times.to_vec())),
            ),
            (
                "revenue",
                Arc::new(Float64Array::from(vec![Some(9.99), None, Some(1.0), Some(f64::NAN)])),
            ),
            (
                "page_url",
                Arc::new(StringArray::from(vec![
                    "https://x.org/?utm_source=news&utm_medium=email";
                    4
                ])),
            ),
            ("timestmap", Arc::new(StringArray::from(vec!["ignored"; 4]))),
            ("event_date", Arc::new(StringArray::from(vec!["derived"; 4]))),
        ],
    );
    let report = lake.import(&path).await.unwrap();
    assert_eq!((report.imported, report.rejected_rows()), (4, 0));
    assert_eq!(report.ignored, BTreeSet::from(["timestmap".to_owned()]));
    assert_eq!(lake.texts("client_id").await, ["7"; 4]);
    assert_eq!(lake.texts("session_id").await, ["null"; 4], "none is assigned");
    assert_eq!(lake.texts("page_host").await, ["x.org"; 4]);
    assert_eq!(lake.texts("channel").await, ["Email"; 4]);
    assert_eq!(lake.texts("revenue").await, ["1.0000", "9.9900", "null", "null"]);
    let mut ids = lake.texts("event_id").await;
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

/// The columns that an event needs, of one row, with these times.
fn with_time(time: ArrayRef) -> Vec<(&'static str, ArrayRef)> {
    let text = |text: &str| Arc::new(StringArray::from(vec![text; time.len()])) as ArrayRef;
    vec![
        ("tracking_id", text("a")),
        ("client_id", text("1")),
        ("event_type", text("x")),
        ("timestamp", time),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_integers_are_milliseconds_and_dates_are_midnight() {
    let lake = Lake::new().await;
    let path = lake.folder.path().join("x.parquet");
    let day = i32::try_from(NOW / footfall_model::clock::DAY).unwrap() - 2;
    for time in [
        Arc::new(Int64Array::from(vec![NOW / 1_000 - 1])) as ArrayRef,
        Arc::new(Date32Array::from(vec![day])),
    ] {
        parquet(&path, with_time(time));
        assert_eq!(lake.import(&path).await.unwrap().imported, 1);
    }
    assert_eq!(
        lake.texts("event_timestamp").await,
        ["2026-10-30T00:00:00Z", "2026-10-31T23:59:59.999Z"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_unit_of_time_is_named() {
    let lake = Lake::new().await;
    let path = lake.folder.path().join("x.parquet");
    for (time, unit, advice) in [
        (NOW / 1_000_000 - 1, "seconds", "multiply them by 1,000"),
        (NOW - 1, "microseconds", "divide them by 1,000"),
        (NOW * 1_000, "nanoseconds", "divide nanoseconds by 1,000,000"),
    ] {
        parquet(&path, with_time(Arc::new(Int64Array::from(vec![time]))));
        let report = lake.import(&path).await.unwrap();
        let (reason, rows) = report.rejected.first_key_value().unwrap();
        assert!(reason.contains(unit) && reason.contains(advice), "{reason}");
        assert_eq!((rows.rows, report.is_refused()), (1, true));
    }
    assert_eq!(lake.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_properties_become_json() {
    let lake = Lake::new().await;
    let path = lake.folder.path().join("x.parquet");
    let mut columns = with_time(Arc::new(Int64Array::from(vec![NOW / 1_000 - 1, NOW / 1_000 - 2])));
    let prices = Float64Array::from(vec![Some(1.5), None]);
    let orders = Int64Array::from(vec![i64::MAX, 2]);
    let members: Vec<(Arc<Field>, ArrayRef)> = vec![
        (
            Arc::new(Field::new("revenue", DataType::Float64, true)),
            Arc::new(prices),
        ),
        (Arc::new(Field::new("order", DataType::Int64, true)), Arc::new(orders)),
    ];
    columns.push(("custom_properties", Arc::new(StructArray::from(members))));
    parquet(&path, columns);
    assert_eq!(lake.import(&path).await.unwrap().imported, 2);
    assert_eq!(
        lake.texts("custom_properties").await,
        [r#"{"order":2}"#, r#"{"revenue":1.5,"order":9223372036854775807}"#]
    );
    assert_eq!(lake.texts("revenue").await, ["1.5000", "null"]);

    let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    map.keys().append_value("plan");
    map.values().append_value("\"pro\"\u{0}");
    map.append(true).unwrap();
    let mut columns = with_time(Arc::new(Int64Array::from(vec![NOW / 1_000 - 3])));
    columns.push(("custom_properties", Arc::new(map.finish())));
    parquet(&path, columns);
    assert_eq!(lake.import(&path).await.unwrap().imported, 1);
    assert!(
        lake.texts("custom_properties")
            .await
            .contains(&"{\"plan\":\"\\\"pro\\\"\u{fffd}\"}".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn export_comes_back_identical() {
    let first = Lake::new().await;
    let nested = concat!(
        r#"{"tracking_id":"a","client_id":"1","event_type":"purchase","timestamp":"2026-10-31T23:59:59.999999Z","#,
        r#""page":{"url":"https://x.org/p?fbclid=1","title":"\"a\", b\n"},"user":{"country":"de","device":"mobile"},"#,
        r#""session_id":"s","is_bot":true,"revenue":"12.3","created_at":"2026-10-31T23:59:59Z","#,
        r#""custom_properties":{"n":1.10,"t":"\"x\", ü"}}"#
    );
    let content = [nested.to_owned(), line(r#","referrer":"https://www.google.com/""#)].join("\n");
    first.import_text("x.ndjson", &content).await;
    let names: Vec<_> = EventField::ALL
        .iter()
        .map(|field| field.name())
        .filter(|name| *name != "event_date")
        .collect();
    let rows = first.rows(&names).await;
    let formatted = |index: usize| {
        let values = rows.column(index);
        let formatter = ArrayFormatter::try_new(values, &FormatOptions::default()).unwrap();
        let values = (0..rows.num_rows()).map(|row| values.is_valid(row).then(|| formatter.value(row).to_string()));
        values.collect::<Vec<_>>()
    };
    let columns: Vec<_> = (0..names.len()).map(formatted).collect();
    let csv = |row: usize| {
        let quoted = |value: &Option<String>| {
            value
                .as_ref()
                .map_or(String::new(), |value| format!("\"{}\"", value.replace('"', "\"\"")))
        };
        columns
            .iter()
            .map(|column| quoted(&column[row]))
            .collect::<Vec<_>>()
            .join(",")
    };
    let json = |row: usize| {
        let members = names
            .iter()
            .zip(&columns)
            .map(|(name, column)| format!("{name:?}:{}", serde_json::json!(column[row])));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    };
    let per_row = |one: &dyn Fn(usize) -> String| (0..rows.num_rows()).map(one).collect::<Vec<_>>().join("\n");
    for (name, content) in [
        ("x.csv", format!("{}\n{}", names.join(","), per_row(&csv))),
        ("x.ndjson", per_row(&json)),
        ("x.parquet", String::new()),
    ] {
        let lake = Lake::new().await;
        let path = lake.file(name, content);
        if name.ends_with("parquet") {
            let columns = names.iter().copied().zip(rows.columns().iter().cloned());
            parquet(&path, columns.collect());
        }
        let report = lake.import(&path).await.unwrap();
        assert_eq!(
            (report.imported, report.changed, report.ignored),
            (2, BTreeMap::new(), BTreeSet::new()),
            "{name}"
        );
        assert_eq!(lake.rows(&names).await, rows, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_file_says_why_and_leaves_nothing() {
    let lake = Lake::new().await;
    let mut errors = Vec::new();
    for (name, content) in [
        ("x.xls", ""),
        ("x.parquet", "no parquet"),
        ("empty.csv", ""),
        ("x.csv", "tracking_id,event_type\na,x"),
        (
            "twice.csv",
            "tracking_id,client_id,event_type,event_timestamp,client_id\na,1,x,0,2",
        ),
    ] {
        let error = lake.import(&lake.file(name, content)).await.unwrap_err().to_string();
        errors.push(error.replace(lake.folder.path().to_str().unwrap(), "FOLDER"));
    }
    let utf_16 = lake.file("utf-16.ndjson", b"\xff\xfe{\0}\0");
    let error = lake.import(&utf_16).await.unwrap_err().to_string();
    errors.push(error.replace(lake.folder.path().to_str().unwrap(), "FOLDER"));
    errors.push(lake.import(Path::new("nowhere.csv")).await.unwrap_err().to_string());
    insta::assert_debug_snapshot!(errors);
    assert_eq!((lake.count(), lake.stored_files().await), (0, 0));
    assert_eq!(lake.parts.table.snapshot().version(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn client_hash_of_file_is_ignored() {
    let lake = Lake::new().await;
    lake.import_text("x.ndjson", &line(r#","client_hash":7,"page_host":"no""#))
        .await;
    let rows = lake.rows(&["client_hash", "page_host"]).await;
    let hash = rows
        .column_by_name("client_hash")
        .unwrap()
        .as_primitive::<Int64Type>()
        .value(0);
    assert_eq!(hash, footfall_model::hash::client_hash("a", "1").cast_signed());
    assert!(rows.column_by_name("page_host").unwrap().is_null(0));
}
