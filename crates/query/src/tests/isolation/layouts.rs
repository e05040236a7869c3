//! Random lakes: many sites in one file, page and row group, files of one site, several files and days; columns that
//! are small beside the site's, and large ones.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field};
use footfall_model::access::SiteScope;
use footfall_model::clock::{DAY, Micros};
use footfall_model::hash::client_hash;
use footfall_model::schema;

use super::random::Random;
use crate::testing::{TestLake, micros, only};

/// The values of a text column.
#[derive(Debug, Clone, Copy)]
enum Texts {
    Nulls,
    Constant,
    Numbers,
    Dates,
    Words,
    /// Numbers, and sometimes a word.
    MostlyNumbers,
    /// Nulls, and rarely a word.
    Rare,
    /// Long, and hard to compress.
    Long,
}

const OURS: [Texts; 8] = [
    Texts::Nulls,
    Texts::Constant,
    Texts::Numbers,
    Texts::Numbers,
    Texts::Numbers,
    Texts::Dates,
    Texts::Words,
    Texts::MostlyNumbers,
];

const THEIRS: [Texts; 7] = [
    Texts::Nulls,
    Texts::Constant,
    Texts::Words,
    Texts::Rare,
    Texts::Rare,
    Texts::Long,
    Texts::Dates,
];

#[derive(Debug, Clone)]
struct Row {
    site: String,
    client: String,
    at: Micros,
    /// Where the values of its other columns come from.
    seed: u64,
}

/// A lake before it is written.
#[derive(Debug)]
pub(super) struct Layout {
    site: String,
    ours: Vec<Texts>,
    theirs: Vec<Texts>,
    files: Vec<Vec<Row>>,
}

impl Layout {
    pub(super) fn random(random: &mut Random) -> Self {
        // A name longer than what the Delta log's statistics keep, beside others with the same prefix.
        let site = if random.one_in(4) {
            format!("{}mine", "m".repeat(36))
        } else {
            "mine".into()
        };
        let columns = schema::event_file().fields().len();
        let pick = |random: &mut Random, all: &[Texts]| (0..columns).map(|_| all[random.below(all.len())]).collect();
        let large = random.one_in(12);
        let mut files: Vec<_> = (0..1 + random.below(4)).map(|_| file(random, &site, large)).collect();
        if !random.one_in(10) {
            let day = random.below(3);
            add(&mut files[0], random, &site, 8, day);
        }
        Self {
            ours: pick(random, &OURS),
            theirs: pick(random, &THEIRS),
            site,
            files,
        }
    }

    pub(super) fn reader(&self) -> SiteScope {
        only(&[&self.site])
    }

    pub(super) fn site(&self) -> &str {
        &self.site
    }

    /// Rows of the reader's site.
    pub(super) fn rows(&self) -> usize {
        self.files.iter().flatten().filter(|row| row.site == self.site).count()
    }

    /// All rows to `shared`, and those of the reader's site to `alone`, in files of the same names.
    pub(super) async fn write(&self, shared: &TestLake, alone: &TestLake) {
        for (index, rows) in self.files.iter().enumerate() {
            let name = format!("file-{index}");
            let ours: Vec<_> = rows.iter().filter(|row| row.site == self.site).cloned().collect();
            for (lake, rows) in [(shared, rows), (alone, &ours)] {
                if !rows.is_empty() {
                    lake.add_rows(&name, &self.batch(rows)).await;
                }
            }
        }
    }

    fn batch(&self, rows: &[Row]) -> RecordBatch {
        let schema = schema::event_file();
        let fields = schema.fields().iter().enumerate();
        let columns = fields.map(|(index, field)| self.column(rows, index, field)).collect();
        RecordBatch::try_new(schema, columns).unwrap()
    }

    fn column(&self, rows: &[Row], index: usize, field: &Field) -> ArrayRef {
        let is_ours = |row: &Row| row.site == self.site;
        let chance = |row: &Row| Random::new(row.seed ^ (index as u64) << 32);
        let optional = field.is_nullable();
        match (field.name().as_str(), field.data_type()) {
            ("tracking_id", _) => Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.site))),
            ("client_id", _) => Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.client))),
            ("event_id", _) => {
                let id = |row: &Row| format!("{:x}", row.seed);
                Arc::new(StringArray::from_iter_values(rows.iter().map(id)))
            }
            ("client_hash", _) => {
                let hash = |row: &Row| client_hash(&row.site, &row.client).cast_signed();
                Arc::new(Int64Array::from_iter_values(rows.iter().map(hash)))
            }
            (_, DataType::Timestamp(..)) => {
                let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.at));
                Arc::new(times.with_timezone("UTC"))
            }
            (_, DataType::Boolean) => {
                let bits = rows
                    .iter()
                    .map(|row| Some(chance(row).one_in(if is_ours(row) { 9 } else { 2 })));
                Arc::new(bits.collect::<BooleanArray>())
            }
            (_, DataType::Decimal128(precision, scale)) => {
                let amounts = rows.iter().map(|row| amount(&mut chance(row), is_ours(row)));
                let amounts = amounts.collect::<Decimal128Array>();
                Arc::new(amounts.with_precision_and_scale(*precision, *scale).unwrap())
            }
            (_, DataType::Utf8) => {
                let texts = rows.iter().map(|row| {
                    let look = if is_ours(row) {
                        self.ours[index]
                    } else {
                        self.theirs[index]
                    };
                    let text = text(&mut chance(row), look);
                    if optional { text } else { Some(text.unwrap_or_default()) }
                });
                Arc::new(texts.collect::<StringArray>())
            }
            (_, other) => arrow::array::new_null_array(other, rows.len()),
        }
    }
}

/// The rows that are written at once, a Parquet file for each of their days.
fn file(random: &mut Random, site: &str, large: bool) -> Vec<Row> {
    let mut rows = Vec::new();
    let ours = match random.below(5) {
        0 => 0,
        1 => 1 + random.below(3),
        _ if large => 4_000 + random.below(8_000),
        _ => 5 + random.below(50),
    };
    let first_day = random.below(3);
    add(&mut rows, random, site, ours, first_day);
    let others: Vec<String> = match random.below(6) {
        0 => Vec::new(),
        1 => vec!["aaa".into()],
        2 => vec!["zzz".into()],
        3 => vec![format!("{site}2"), format!("{}1", &site[..site.len() - 1])],
        4 => (0..200).map(|n| format!("site-{n:03}")).chain(["a".into()]).collect(),
        _ => vec!["aaa".into(), "zzz".into(), format!("{site}x")],
    };
    for other in &others {
        let many = if large { 6_000 } else { 40 };
        let count = 1 + random.below(if others.len() > 10 { 3 } else { many });
        // Also on days on which the reader's site has no row.
        let day = random.below(4);
        add(&mut rows, random, other, count, day);
    }
    rows
}

fn add(rows: &mut Vec<Row>, random: &mut Random, site: &str, count: usize, first_day: usize) {
    let noon = micros("2026-11-01 12:00");
    let days = 1 + random.below(2);
    for _ in 0..count {
        let day = (first_day + random.below(days)) as i64;
        // Sometimes several rows in the same second.
        let seconds = if random.one_in(3) { 5 } else { 30_000 };
        let second = random.below(seconds) as i64;
        rows.push(Row {
            site: site.to_owned(),
            client: format!("{}", random.below(12)),
            at: noon + day * DAY + second * 1_000_000 + random.below(2) as i64,
            seed: random.next(),
        });
    }
}

fn amount(random: &mut Random, ours: bool) -> Option<i128> {
    match (random.below(4), ours) {
        (0, _) => None,
        (_, true) => Some(10_000 + random.below(500_000) as i128),
        (1, false) => Some(0),
        (2, false) => Some(999_999_999_999_999_999),
        (_, false) => Some(-(random.below(1_000_000_000) as i128)),
    }
}

fn text(random: &mut Random, look: Texts) -> Option<String> {
    const WORDS: [&str; 6] = ["secret", "/a?b=1%", "Ghent, BE", "ÿ—x", "-", "nan"];
    match look {
        Texts::Nulls => None,
        Texts::Constant => Some("7".into()),
        Texts::Numbers => (!random.one_in(8)).then(|| random.below(50).to_string()),
        Texts::Dates => Some(format!("2026-11-{:02}", 1 + random.below(28))),
        Texts::Words => Some(format!("{}{}", random.of(&WORDS), random.below(9))),
        Texts::MostlyNumbers if random.one_in(12) => Some(random.of(&WORDS).into()),
        Texts::MostlyNumbers => Some(random.below(50).to_string()),
        Texts::Rare => random
            .one_in(30)
            .then(|| format!("{}{}", random.of(&WORDS), random.below(99))),
        Texts::Long => Some((0..8).map(|_| format!("{:016x}", random.next())).collect()),
    }
}
