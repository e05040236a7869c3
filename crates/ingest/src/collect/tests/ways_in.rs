//! One event by every way in: the same row.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, Decimal128Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use chrono::{DateTime, SecondsFormat};
use footfall_model::field::EventField;
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;

use super::*;
use crate::collect::draft::Draft;
use crate::collect::reject::Reject;
use crate::collect::validate::{self, Receipt};
use crate::collect::{beacon, json};
use crate::enrich::Sender;
use crate::import::{Format, Sites, fuzzing};
use crate::rules;

/// What a client knows of an event.
#[derive(Debug, Clone)]
struct Known {
    /// By field.
    texts: BTreeMap<&'static str, String>,
    timestamp: Micros,
    /// As it is written.
    revenue: Option<String>,
    /// A JSON object.
    properties: Option<String>,
}

const TEXTS: [EventField; 18] = [
    EventField::EventId,
    EventField::ClientId,
    EventField::SessionId,
    EventField::UserId,
    EventField::EventType,
    EventField::PageUrl,
    EventField::PageTitle,
    EventField::Referrer,
    EventField::UtmSource,
    EventField::UtmMedium,
    EventField::UtmCampaign,
    EventField::UtmTerm,
    EventField::UtmContent,
    EventField::Country,
    EventField::City,
    EventField::Device,
    EventField::Browser,
    EventField::Os,
];

fn odd_text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z0-9 ._-]{0,12}",
        2 => "\\PC{0,20}",
        2 => "[\"',;\\\\\n\r\t\u{0}\u{b}\u{85}\u{a0}\u{feff}üß漢😀]{0,8}",
        1 => "[0-9]{1,25}",
        1 => prop_oneof![Just("true"), Just("null"), Just("NaN"), Just("\\N"), Just("de"), Just("1e5"), Just("{}")]
            .prop_map(String::from),
        1 => ("[x😀 ]", 200_usize..4_200).prop_map(|(character, times)| character.repeat(times)),
    ]
}

fn url() -> impl Strategy<Value = String> {
    let parameter = prop_oneof![
        "utm_(source|medium|campaign|term|content)=[a-zA-Z%+20ü]{0,8}",
        "(gclid|fbclid|msclkid|x)=[a-z0-9]{0,4}",
    ];
    let query = proptest::collection::vec(parameter, 0..4);
    let host = "(https?://)?(www\\.)?(google|shop|news|xn--|ä)\\.(com|example|de)(:[0-9]{1,3})?";
    (host, "(/[a-zA-Z0-9%._-]{0,6}){0,3}", query, "(#[a-z=&_]{0,10})?").prop_map(|(host, path, query, fragment)| {
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{host}{path}{mark}{}{fragment}", query.join("&"))
    })
}

fn amount() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?[0-9]{1,14}(\\.[0-9]{1,6})?",
        "[0-9]\\.[0-9]{1,3}e[0-9]",
        Just(String::new())
    ]
}

fn properties() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        odd_text().prop_map(|text| serde_json::Value::from(text).to_string()),
        Just("\"\\ud83d x\\u00fc\\/\"".to_owned()),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,4})?",
        Just("true".to_owned()),
        Just(" null ".to_owned()),
    ];
    let value = scalar.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            proptest::collection::vec(("[a-z]{0,3}", inner), 0..4).prop_map(|members| object(&members)),
        ]
    });
    let key = prop_oneof![4 => "[a-c]{0,2}", 1 => Just("revenue".to_owned())];
    proptest::collection::vec((key, value), 0..4).prop_map(|members| object(&members))
}

fn object(members: &[(String, String)]) -> String {
    let members = members.iter().map(|(key, value)| format!("{key:?} : {value}"));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

fn known() -> impl Strategy<Value = Known> {
    let texts = TEXTS.map(|field| {
        let text = match field {
            EventField::PageUrl | EventField::Referrer => prop_oneof![3 => url(), 1 => odd_text()].boxed(),
            // Mostly there, since nothing is an event without them.
            EventField::ClientId | EventField::EventType => {
                prop_oneof![9 => odd_text().prop_map(|text| format!("v{text}")), 1 => odd_text()].boxed()
            }
            _ => odd_text().boxed(),
        };
        proptest::option::weighted(if field.spec().is_required() { 0.98 } else { 0.4 }, text)
    });
    let texts = texts.to_vec().prop_map(|texts| {
        let given = TEXTS.iter().zip(texts);
        given.filter_map(|(field, text)| Some((field.name(), text?))).collect()
    });
    let ago = prop_oneof![9 => 0..300_i64 * 86_400_000_000, 1 => -86_400_000_000..800_i64 * 86_400_000_000];
    let optional = (proptest::option::of(amount()), proptest::option::of(properties()));
    (texts, ago, optional).prop_map(|(texts, ago, (revenue, properties))| Known {
        texts,
        timestamp: NOW - ago,
        revenue,
        properties,
    })
}

impl Known {
    fn time(&self) -> String {
        let time = DateTime::from_timestamp_micros(self.timestamp).unwrap();
        time.to_rfc3339_opts(SecondsFormat::Micros, true)
    }

    /// The flat members of a JSON object, or the nested ones of the HTTP API.
    fn json(&self, is_nested: bool) -> String {
        let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut add = |field: EventField, json: &str| {
            let path = if is_nested {
                field.spec().json.unwrap()
            } else {
                field.name()
            };
            let (group, key) = path.split_once('.').unwrap_or(("", path));
            groups.entry(group).or_default().push(format!("{key:?}:{json}"));
        };
        add(EventField::TrackingId, "\"shop\"");
        add(EventField::EventTimestamp, &format!("{:?}", self.time()));
        for field in TEXTS {
            if let Some(text) = self.texts.get(field.name()) {
                add(field, &serde_json::Value::from(text.as_str()).to_string());
            }
        }
        if let Some(revenue) = &self.revenue {
            add(EventField::Revenue, &format!("{revenue:?}"));
        }
        if let Some(properties) = &self.properties {
            add(EventField::CustomProperties, properties);
        }
        let top = groups.remove("").unwrap();
        let nested = groups
            .iter()
            .map(|(group, members)| format!("{group:?}:{{{}}}", members.join(",")));
        format!("{{{}}}", top.into_iter().chain(nested).collect::<Vec<_>>().join(","))
    }

    fn csv(&self) -> String {
        let mut columns = vec![("tracking_id", "shop".to_owned()), ("ts", self.time())];
        columns.extend(self.texts.iter().map(|(name, text)| (*name, text.clone())));
        columns.extend(self.revenue.iter().map(|text| ("revenue", text.clone())));
        columns.extend(self.properties.iter().map(|text| ("custom_properties", text.clone())));
        for required in ["client_id", "event_type"] {
            if !self.texts.contains_key(required) {
                columns.push((required, String::new()));
            }
        }
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
        let values: Vec<_> = columns.iter().map(|(_, text)| quoted(text)).collect();
        format!("{}\r\n{}\r\n", names.join(","), values.join(","))
    }

    fn parquet(&self) -> Option<Vec<u8>> {
        let text = |text: Option<&String>| Arc::new(StringArray::from(vec![text.cloned()])) as ArrayRef;
        let time = TimestampMicrosecondArray::from(vec![self.timestamp]);
        let mut columns = vec![
            ("tracking_id", Arc::new(StringArray::from(vec!["shop"])) as ArrayRef),
            ("timestamp", Arc::new(time)),
            ("custom_properties", text(self.properties.as_ref())),
        ];
        columns.extend(TEXTS.map(|field| (field.name(), text(self.texts.get(field.name())))));
        let units = rules::amount(self.revenue.as_deref().unwrap_or_default()).ok()?;
        let revenue = Decimal128Array::from(vec![units.map(i128::from)]).with_precision_and_scale(18, 4);
        columns.push(("revenue", Arc::new(revenue.unwrap())));
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut file = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        Some(file)
    }

    fn proto(&self) -> Option<Event> {
        let mut event = Event {
            tracking_id: "shop".into(),
            event_timestamp: self.timestamp,
            custom_properties: self.properties.clone(),
            revenue: rules::amount(self.revenue.as_deref().unwrap_or_default()).ok()?,
            ..Event::default()
        };
        for field in TEXTS {
            if let (Some(text), Some(slot)) = (self.texts.get(field.name()), field.text_mut(&mut event)) {
                slot.set(text.clone());
            }
        }
        Some(event)
    }

    fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("tid", "shop")
            .append_pair("ts", &self.time())
            .extend_pairs(&self.texts);
        query.extend_pairs(self.revenue.iter().map(|text| ("revenue", text)));
        query.extend_pairs(self.properties.iter().map(|text| ("cp", text)));
        query.finish()
    }
}

/// The row of an event that the server has got; `None`: it was rejected.
fn collected(draft: Result<Draft, Reject>) -> Option<RecordBatch> {
    let options = CollectOptions::default();
    let receipt = Receipt { at: NOW, ordinal: 0 };
    let mut valid = draft.and_then(|draft| validate::check(draft, &options, receipt)).ok()?;
    valid.identify(options.dedupe_by);
    let mut event = valid.event;
    ENRICHER.enrich(&mut event, Sender::default());
    Some(crate::writer::rows(&[*event]))
}

fn imported(content: Vec<u8>, format: Format) -> Option<RecordBatch> {
    let sites = Arc::new(Sites::from([("shop".to_owned(), None)]));
    let (mut batches, report) = fuzzing::read(content.into(), format, &sites, &ENRICHER, NOW).unwrap();
    assert_eq!((report.rows, batches.len()), (1, 1));
    batches.pop().filter(|batch| batch.num_rows() == 1)
}

/// What a row has other than the one that is expected.
fn differences(row: Option<&RecordBatch>, expected: Option<&RecordBatch>) -> Vec<String> {
    let (Some(row), Some(expected)) = (row, expected) else {
        return match (row.is_some(), expected.is_some()) {
            (true, false) => vec!["accepted".into()],
            (false, true) => vec!["rejected".into()],
            _ => Vec::new(),
        };
    };
    let columns = expected
        .schema_ref()
        .fields()
        .iter()
        .zip(row.columns())
        .zip(expected.columns());
    let different = columns.filter(|((_, column), expected)| column != expected);
    let shown = different.map(|((field, column), expected)| format!("{}: {column:?}, not {expected:?}", field.name()));
    shown.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn rows_are_equal(known in known()) {
        let nested = known.json(true);
        let options = CollectOptions::default();
        prop_assume!(nested.len() <= options.event_bytes);
        let expected = collected(json::parse(nested.as_bytes(), &options).unwrap().remove(0));
        let flat = known.json(false);
        for (name, row) in [
            ("NDJSON of HTTP's form", imported(nested.into_bytes(), Format::Ndjson)),
            ("NDJSON", imported(flat.into_bytes(), Format::Ndjson)),
            ("CSV", imported(known.csv().into_bytes(), Format::Csv)),
        ] {
            prop_assert_eq!(differences(row.as_ref(), expected.as_ref()), [""; 0], "{}", name);
        }
        let query = known.query();
        if query.len() <= options.event_bytes {
            let row = collected(beacon::parse(&query, &options));
            prop_assert_eq!(differences(row.as_ref(), expected.as_ref()), [""; 0], "beacon");
        }
        // Typed amounts are numbers already.
        if let (Some(event), Some(file)) = (known.proto(), known.parquet()) {
            let row = collected(Ok(Draft::of_proto(event, &options.properties)));
            prop_assert_eq!(differences(row.as_ref(), expected.as_ref()), [""; 0], "gRPC");
            let row = imported(file, Format::Parquet);
            prop_assert_eq!(differences(row.as_ref(), expected.as_ref()), [""; 0], "Parquet");
        }
    }
}
