//! The columns of the view `sessions`, out of parts that are whole sessions.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
    StringBuilder, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use footfall_model::clock::{Micros, SECOND};

use crate::columns::{Layout, revenue, time, wrong_column};
use crate::events::{EventParts, numbers};

/// A session of at least this time counts as engaged.
const ENGAGED: Micros = 10 * SECOND;

/// A column of the view.
struct Declaration {
    name: &'static str,
    data_type: DataType,
    nullable: bool,
    /// The columns of parts that it follows from.
    needs: Needs,
}

type Needs = &'static [&'static str];

static COLUMNS: LazyLock<Vec<Declaration>> = LazyLock::new(|| {
    use DataType::{Boolean, Float64, Int64, Utf8};
    let columns: [(_, _, _, Needs); 35] = [
        ("tracking_id", Utf8, false, &["tracking_id"]),
        ("session_id", Utf8, false, &["client_id", "part_start"]),
        ("client_id", Utf8, false, &["client_id"]),
        ("client_hash", Int64, false, &["client_hash"]),
        ("user_id", Utf8, true, &["user_id"]),
        ("session_start", time(), false, &["part_start"]),
        ("session_end", time(), false, &["part_start", "duration"]),
        ("session_duration", Int64, false, &["duration"]),
        ("event_count", Int64, false, &["event_count"]),
        ("pageview_count", Int64, false, &["pageview_count"]),
        ("click_count", Int64, false, &["click_count"]),
        ("purchase_count", Int64, false, &["purchase_count"]),
        ("entry_event_type", Utf8, true, &["entry_event_type"]),
        ("entry_page", Utf8, true, &["entry_page"]),
        ("exit_page", Utf8, true, &["exit_page"]),
        ("referrer", Utf8, true, &["referrer"]),
        ("utm_source", Utf8, true, &["utm_source"]),
        ("utm_medium", Utf8, true, &["utm_medium"]),
        ("utm_campaign", Utf8, true, &["utm_campaign"]),
        ("utm_term", Utf8, true, &["utm_term"]),
        ("utm_content", Utf8, true, &["utm_content"]),
        ("source", Utf8, true, &["source"]),
        ("channel", Utf8, true, &["channel"]),
        ("traffic_category", Utf8, true, &["channel"]),
        ("country", Utf8, true, &["country"]),
        ("device", Utf8, true, &["device"]),
        ("device_category", Utf8, true, &["device"]),
        ("browser", Utf8, true, &["browser"]),
        ("os", Utf8, true, &["os"]),
        ("is_bot", Boolean, false, &["is_bot"]),
        ("revenue", revenue(), true, &["revenue"]),
        ("converted", Boolean, false, &["purchase_count"]),
        ("bounced", Boolean, false, &["pageview_count"]),
        (
            "engaged",
            Boolean,
            false,
            &["duration", "pageview_count", "purchase_count"],
        ),
        (
            "quality_score",
            Float64,
            false,
            &["duration", "pageview_count", "purchase_count"],
        ),
    ];
    let declared = columns.map(|(name, data_type, nullable, needs)| Declaration {
        name,
        data_type,
        nullable,
        needs,
    });
    declared.into()
});

/// Some columns of the view.
#[derive(Debug, Clone)]
pub struct SessionColumns {
    names: Vec<&'static str>,
    schema: SchemaRef,
    parts: EventParts,
    of_whole_sessions: Vec<&'static str>,
}

impl SessionColumns {
    /// All columns of the view.
    pub fn schema_of_all() -> SchemaRef {
        static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
            let field = |column: &Declaration| Field::new(column.name, column.data_type.clone(), column.nullable);
            let fields = COLUMNS.iter().map(field);
            Arc::new(Schema::new(fields.collect::<Vec<_>>()))
        });
        Arc::clone(&SCHEMA)
    }

    /// Those at `indices`; `None`: all.
    ///
    /// # Errors
    /// There is no column with such an index.
    pub fn new(indices: Option<&[usize]>) -> Result<Self, ArrowError> {
        let all = Self::schema_of_all();
        let indices = indices.map_or_else(|| (0..COLUMNS.len()).collect(), <[usize]>::to_vec);
        let schema = Arc::new(all.project(&indices)?);
        let declared = || indices.iter().map(|index| &COLUMNS[*index]);
        let needed: BTreeSet<&'static str> = declared().flat_map(|column| column.needs).copied().collect();
        let needed: Vec<_> = needed.into_iter().collect();
        Ok(Self {
            names: declared().map(|column| column.name).collect(),
            schema,
            parts: EventParts::new(Arc::new(Layout::with(&needed))),
            of_whole_sessions: needed,
        })
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The parts that the columns follow from.
    pub fn parts(&self) -> &EventParts {
        &self.parts
    }

    /// The columns of parts that they follow from where each is a whole session.
    pub fn of_whole_sessions(&self) -> &[&'static str] {
        &self.of_whole_sessions
    }

    /// The columns of `sessions`: parts, each a whole session, with [`SessionColumns::of_whole_sessions`] at least.
    ///
    /// # Errors
    /// They are of another schema.
    pub fn project(&self, sessions: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let of = Sessions(sessions);
        let columns = self.names.iter().map(|name| of.column(name));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(sessions.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
    }
}

/// Parts that are whole sessions.
struct Sessions<'a>(&'a RecordBatch);

impl Sessions<'_> {
    fn column(&self, name: &str) -> Result<ArrayRef, ArrowError> {
        Ok(match name {
            "session_id" => Arc::new(self.session_ids()?),
            "session_start" => Arc::clone(self.named("part_start")?),
            "session_end" => {
                let ends = self.starts()?.iter().zip(self.durations()?);
                let ends = TimestampMicrosecondArray::from_iter_values(
                    ends.map(|(start, duration)| start.saturating_add(*duration)),
                );
                Arc::new(ends.with_timezone("UTC"))
            }
            "session_duration" => Arc::new(Int64Array::from_iter_values(
                self.durations()?.iter().map(|duration| duration / SECOND),
            )),
            "traffic_category" => self.classified("channel", traffic_category)?,
            "device_category" => self.classified("device", device_category)?,
            "converted" => self.flags(self.counts("purchase_count")?.iter().map(|purchases| *purchases > 0)),
            "bounced" => self.flags(self.counts("pageview_count")?.iter().map(|pageviews| *pageviews == 1)),
            "engaged" => {
                let figures = self.figures()?;
                self.flags(
                    figures
                        .map(|figures| figures.duration >= ENGAGED || figures.pageviews >= 2 || figures.purchases > 0),
                )
            }
            "quality_score" => Arc::new(Float64Array::from_iter_values(self.figures()?.map(quality_score))),
            of_parts => Arc::clone(self.named(of_parts)?),
        })
    }

    fn named(&self, name: &str) -> Result<&ArrayRef, ArrowError> {
        self.0.column_by_name(name).ok_or_else(|| wrong_column(name))
    }

    fn counts(&self, name: &str) -> Result<&[i64], ArrowError> {
        numbers(self.named(name)?, name)
    }

    fn durations(&self) -> Result<&[i64], ArrowError> {
        self.counts("duration")
    }

    fn starts(&self) -> Result<&[i64], ArrowError> {
        let starts = self.named("part_start")?.as_primitive_opt::<TimestampMicrosecondType>();
        Ok(starts.ok_or_else(|| wrong_column("part_start"))?.values())
    }

    fn texts(&self, name: &str) -> Result<&StringArray, ArrowError> {
        self.named(name)?.as_string_opt().ok_or_else(|| wrong_column(name))
    }

    /// Client id and start in milliseconds: no two sessions of a visitor start in one millisecond.
    fn session_ids(&self) -> Result<StringArray, ArrowError> {
        let clients = self.texts("client_id")?;
        let mut ids = StringBuilder::with_capacity(self.0.num_rows(), clients.values().len() + 14 * self.0.num_rows());
        for (client, start) in clients.iter().zip(self.starts()?) {
            let (client, start) = (client.unwrap_or_default(), start.div_euclid(SECOND / 1_000));
            write!(ids, "{client}_{start}").map_err(|error| ArrowError::from_external_error(Box::new(error)))?;
            ids.append_value("");
        }
        Ok(ids.finish())
    }

    fn classified(&self, name: &str, class: fn(&str) -> &'static str) -> Result<ArrayRef, ArrowError> {
        let texts = self.texts(name)?.iter();
        Ok(Arc::new(texts.map(|text| text.map(class)).collect::<StringArray>()))
    }

    fn flags(&self, flags: impl Iterator<Item = bool>) -> ArrayRef {
        Arc::new(flags.map(Some).collect::<BooleanArray>())
    }

    fn figures(&self) -> Result<impl Iterator<Item = Figures>, ArrowError> {
        let counts = self
            .counts("pageview_count")?
            .iter()
            .zip(self.counts("purchase_count")?);
        let rows = self.durations()?.iter().zip(counts);
        Ok(rows.map(|(duration, (pageviews, purchases))| Figures {
            duration: *duration,
            pageviews: *pageviews,
            purchases: *purchases,
        }))
    }
}

#[derive(Debug, Clone, Copy)]
struct Figures {
    duration: Micros,
    pageviews: i64,
    purchases: i64,
}

/// 0 to 100: 30 for ten minutes, 40 for four pageviews, 30 for a conversion.
#[expect(clippy::cast_precision_loss, reason = "bounded before")]
fn quality_score(figures: Figures) -> f64 {
    let seconds = (figures.duration / SECOND).clamp(0, 600) as f64;
    let pageviews = (figures.pageviews.clamp(0, 4) * 10) as f64;
    let converted = if figures.purchases > 0 { 30.0 } else { 0.0 };
    seconds / 600.0 * 30.0 + pageviews + converted
}

/// The channels in four groups.
fn traffic_category(channel: &str) -> &'static str {
    match channel {
        "Direct" => "direct",
        "Display" => "paid",
        _ if channel.starts_with("Paid ") => "paid",
        _ if channel.starts_with("Organic ") => "organic",
        _ => "referral",
    }
}

/// `device` is as the client sent it, or of these words already.
fn device_category(device: &str) -> &'static str {
    const CATEGORIES: [(&str, &[&str]); 3] = [
        ("tablet", &["tablet", "ipad"]),
        ("mobile", &["mobile", "iphone", "android", "phone"]),
        ("desktop", &["desktop", "windows", "mac", "linux"]),
    ];
    let device = device.to_lowercase();
    let category = CATEGORIES
        .iter()
        .find(|(_, words)| words.iter().any(|word| device.contains(word)));
    category.map_or("other", |(category, _)| category)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_group_channels_and_devices() {
        let traffic = [
            "Paid Search",
            "Display",
            "Organic Social",
            "Direct",
            "Email",
            "Referral",
            "Unassigned",
        ];
        assert_eq!(
            traffic.map(traffic_category),
            ["paid", "paid", "organic", "direct", "referral", "referral", "referral"]
        );
        let devices = [
            "mobile",
            "iPhone 15",
            "iPad",
            "Android Tablet",
            "Windows PC",
            "desktop",
            "TV",
        ];
        assert_eq!(
            devices.map(device_category),
            ["mobile", "mobile", "tablet", "tablet", "desktop", "desktop", "other"]
        );
    }

    #[test]
    fn quality_score_is_bounded() {
        let score = |seconds, pageviews, purchases| {
            quality_score(Figures {
                duration: seconds * SECOND,
                pageviews,
                purchases,
            })
        };
        assert_eq!(score(0, 0, 0), 0.0);
        assert_eq!(score(300, 2, 0), 35.0);
        assert_eq!(score(7_200, 50, 3), 100.0);
    }

    #[test]
    fn columns_need_no_more_than_they_say() {
        let columns = |names: &[&str]| {
            let all = SessionColumns::schema_of_all();
            let indices: Vec<_> = names.iter().map(|name| all.index_of(name).unwrap()).collect();
            SessionColumns::new(Some(&indices)).unwrap()
        };
        assert_eq!(
            columns(&["session_id", "session_end"]).parts().schema().fields().len(),
            5
        );
        let engaged = columns(&["engaged"]);
        let names: Vec<_> = engaged
            .parts()
            .schema()
            .fields()
            .iter()
            .skip(5)
            .map(|f| f.name().clone())
            .collect();
        assert_eq!(names, ["pageview_count", "purchase_count"]);
    }
}
