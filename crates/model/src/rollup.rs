//! Rollups: pre-aggregations of events by dimensions and time buckets. From one declaration come the table of the
//! segments, the aggregation in the compactor, the view in SQL, and (later) what the router matches.

use arrow::datatypes::{DataType, Field, TimeUnit};

use crate::clock::{DAY, Micros};
use crate::schema;
use crate::table::{SITE_COLUMN, SpecError, TableColumns, TableSpec};

/// The width of a rollup's time buckets, aligned to UTC midnight. None is longer than a day, so that a bucket never
/// lies in two partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    QuarterHour,
    Hour,
    Day,
}

impl Grain {
    /// Microseconds of a bucket.
    pub fn micros(self) -> Micros {
        match self {
            Self::QuarterHour => 900_000_000,
            Self::Hour => 3_600_000_000,
            Self::Day => DAY,
        }
    }

    /// The start of a time's bucket, in SQL.
    fn bucket_of(self, time: &str) -> String {
        let width = self.micros();
        // Not by date_bin, which goes through nanoseconds. Events are never older than 1970.
        format!("arrow_cast(CAST({time} AS BIGINT) / {width} * {width}, 'Timestamp(Microsecond, Some(\"UTC\"))')")
    }

    /// The column with a bucket's start; a day's is the partition column.
    pub fn column(self) -> Option<&'static str> {
        match self {
            Self::QuarterHour => Some("quarter_hour"),
            Self::Hour => Some("hour"),
            Self::Day => None,
        }
    }
}

/// A column of a segment: what it stores for each group of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    /// The column of the segment.
    pub name: String,
    pub function: Function,
    /// One line for the documentation.
    pub description: String,
}

/// A function whose partial results merge exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Function {
    /// Number of events.
    Count,
    /// Number of events in which this column is not null.
    CountOf(String),
    /// Sum of a decimal or integer column; null if all values are.
    Sum(String),
    /// Minimum of a decimal, integer or time column; null if all values are.
    Min(String),
    Max(String),
}

impl Function {
    /// The column of `events` that it reads.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::Count => None,
            Self::CountOf(column) | Self::Sum(column) | Self::Min(column) | Self::Max(column) => Some(column),
        }
    }

    /// Type and nullability of its result over a column of type `of`.
    fn result(&self, of: Option<&Field>) -> Option<(DataType, bool)> {
        match (self, of.map(Field::data_type)) {
            (Self::Count, None) | (Self::CountOf(_), Some(_)) => Some((DataType::Int64, false)),
            // The widest type, for sums of sums.
            (Self::Sum(_), Some(DataType::Decimal128(_, scale))) => Some((DataType::Decimal128(38, *scale), true)),
            (
                Self::Min(_) | Self::Max(_),
                Some(kind @ (DataType::Decimal128(..) | DataType::Timestamp(TimeUnit::Microsecond, _))),
            ) => Some((kind.clone(), true)),
            _ => None,
        }
    }

    /// The aggregate function in SQL that merges partial results.
    pub fn merge(&self) -> &'static str {
        match self {
            Self::Count | Self::CountOf(_) | Self::Sum(_) => "sum",
            Self::Min(_) => "min",
            Self::Max(_) => "max",
        }
    }

    /// The aggregate in SQL over `events`.
    pub fn over_events(&self) -> String {
        match self {
            Self::Count => "count(*)".to_owned(),
            Self::CountOf(column) => format!("count({column})"),
            Self::Sum(column) => format!("sum({column})"),
            Self::Min(column) => format!("min({column})"),
            Self::Max(column) => format!("max({column})"),
        }
    }
}

/// A declared pre-aggregation of `events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollup {
    /// The name of the view in SQL and of the folder below `rollups/`.
    pub name: String,
    pub grain: Grain,
    /// Text and boolean columns of `events` to group by, in addition to the site and the bucket.
    pub dimensions: Vec<String>,
    pub measures: Vec<Measure>,
}

/// With more dimensions than this there are nearly as many groups as events.
const MAX_DIMENSIONS: usize = 16;

impl Rollup {
    /// The table of its segments: site, bucket, dimensions, measures; sorted by all but the measures.
    ///
    /// # Errors
    /// For an impossible dimension or measure, with the possible ones.
    pub fn table(&self) -> Result<TableSpec, SpecError> {
        let events = schema::event_file();
        let wrong = |reason: String| SpecError::new(format!("rollup {}: {reason}", self.name));
        if self.dimensions.len() > MAX_DIMENSIONS {
            let count = self.dimensions.len();
            return Err(wrong(format!("{count} dimensions are more than {MAX_DIMENSIONS}")));
        }
        let mut fields = vec![Field::new(SITE_COLUMN, DataType::Utf8, false)];
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        fields.extend(self.grain.column().map(|name| Field::new(name, utc, false)));
        for name in &self.dimensions {
            let field = events.field_with_name(name).ok().filter(|field| {
                matches!(field.data_type(), DataType::Utf8 | DataType::Boolean) && field.name() != SITE_COLUMN
            });
            let field = field.ok_or_else(|| {
                let possible = events.fields().iter();
                let possible = possible.filter(|f| matches!(f.data_type(), DataType::Utf8 | DataType::Boolean));
                let possible: Vec<_> = possible.map(|f| f.name().as_str()).skip(1).collect();
                wrong(format!(
                    "{name} can't be a dimension; possible are {}",
                    possible.join(", ")
                ))
            })?;
            fields.push(field.clone());
        }
        let sort: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
        for measure in &self.measures {
            let of = measure.function.column();
            let of = of
                .map(|name| events.field_with_name(name).map_err(|_| name))
                .transpose();
            let of = of.map_err(|name| wrong(format!("{}: events have no column {name}", measure.name)))?;
            let (kind, nullable) = measure.function.result(of).ok_or_else(|| {
                let function = &measure.function;
                wrong(format!("{}: {} is not possible", measure.name, function.over_events()))
            })?;
            fields.push(Field::new(&measure.name, kind, nullable));
        }
        let sort: Vec<&str> = sort.iter().map(String::as_str).collect();
        let statistics: Vec<&str> = [SITE_COLUMN].into_iter().chain(self.grain.column()).collect();
        TableSpec::new(
            &self.name,
            &format!("rollups/{}", self.name),
            1,
            TableColumns {
                file: fields,
                partition: Field::new(schema::PARTITION_COLUMN, DataType::Date32, false),
                sort: &sort,
                statistics: &statistics,
            },
        )
    }
}

impl Rollup {
    /// The SQL of the view: segments where they exist, elsewhere computed from events, so that it is exact at all
    /// times.
    ///
    /// `segments` names the table of the segments that may be used, `events` that of the events which none of them
    /// covers.
    pub fn view_sql(&self, segments: &str, events: &str) -> String {
        let keys: Vec<&str> = [SITE_COLUMN, schema::PARTITION_COLUMN]
            .into_iter()
            .chain(self.grain.column())
            .chain(self.dimensions.iter().map(String::as_str))
            .collect();
        let key = |name: &&str| match self.grain.column() {
            Some(bucket) if bucket == *name => format!("{} AS {name}", self.grain.bucket_of("event_timestamp")),
            _ => (*name).to_owned(),
        };
        let measures = |sql: fn(&Measure) -> String| {
            let named = self
                .measures
                .iter()
                .map(|measure| format!("{} AS {}", sql(measure), measure.name));
            named.collect::<Vec<_>>().join(", ")
        };
        let grouped = (1..=keys.len()).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
        let merged = measures(|measure| format!("{}({})", measure.function.merge(), measure.name));
        let computed = measures(|measure| match measure.function {
            Function::Sum(_) => format!(
                "CAST({} AS DECIMAL(38, {}))",
                measure.function.over_events(),
                schema::REVENUE_SCALE
            ),
            _ => measure.function.over_events(),
        });
        let names: Vec<&str> = self.measures.iter().map(|measure| measure.name.as_str()).collect();
        format!(
            "SELECT {all}, {merged} FROM (\
             SELECT {all}, {names} FROM {segments} \
             UNION ALL SELECT {computed_keys}, {computed} FROM {events} GROUP BY {grouped}) \
             GROUP BY {grouped}",
            all = keys.join(", "),
            names = names.join(", "),
            computed_keys = keys.iter().map(key).collect::<Vec<_>>().join(", "),
        )
    }
}

/// The rollups of every lake.
pub fn built_in() -> Vec<Rollup> {
    let rollup = |name: &str, grain, dimensions: &[&str]| Rollup {
        name: name.to_owned(),
        grain,
        dimensions: dimensions.iter().map(|name| (*name).to_owned()).collect(),
        measures: measures(),
    };
    vec![
        rollup("events_totals", Grain::QuarterHour, &["event_type"]),
        rollup("events_hourly", Grain::Hour, &["event_type", "country", "device"]),
        rollup(
            "events_daily",
            Grain::Day,
            &[
                "event_type",
                "country",
                "device",
                "browser",
                "os",
                "utm_source",
                "utm_medium",
                "utm_campaign",
                "channel",
            ],
        ),
    ]
}

fn measures() -> Vec<Measure> {
    let measure = |name: &str, function, description: &str| Measure {
        name: name.to_owned(),
        function,
        description: description.to_owned(),
    };
    let revenue = || "revenue".to_owned();
    let time = || "event_timestamp".to_owned();
    vec![
        measure("event_count", Function::Count, "Number of events"),
        measure(
            "revenue_count",
            Function::CountOf(revenue()),
            "Number of events with revenue",
        ),
        measure("total_revenue", Function::Sum(revenue()), "Sum of revenue"),
        measure("min_revenue", Function::Min(revenue()), "Smallest revenue of one event"),
        measure("max_revenue", Function::Max(revenue()), "Largest revenue of one event"),
        measure("first_event", Function::Min(time()), "Time of the first event"),
        measure("last_event", Function::Max(time()), "Time of the last event"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollup(dimensions: &[&str], measures: Vec<Measure>) -> Rollup {
        Rollup {
            name: "mine".into(),
            grain: Grain::Hour,
            dimensions: dimensions.iter().map(|name| (*name).to_owned()).collect(),
            measures,
        }
    }

    #[test]
    fn built_in_rollups_are_tables() {
        for rollup in built_in() {
            let table = rollup.table().unwrap();
            assert_eq!(table.folder(), format!("rollups/{}", rollup.name));
            let buckets = usize::from(rollup.grain.column().is_some());
            assert_eq!(table.sort_columns().count(), 1 + buckets + rollup.dimensions.len());
        }
    }

    #[test]
    fn invalid_rollups_are_refused_with_alternatives() {
        let refused = |rollup: Rollup| rollup.table().unwrap_err().to_string();
        let unknown = refused(rollup(&["colour"], Vec::new()));
        assert!(
            unknown.contains("colour can't be a dimension; possible are"),
            "{unknown}"
        );
        assert!(unknown.contains("country"), "{unknown}");
        assert!(refused(rollup(&["revenue"], Vec::new())).contains("revenue can't be a dimension"));
        let sum = |column: &str| Measure {
            name: "total".into(),
            function: Function::Sum(column.into()),
            description: String::new(),
        };
        assert!(refused(rollup(&["country"], vec![sum("country")])).contains("sum(country) is not possible"));
        assert!(refused(rollup(&["country"], vec![sum("price")])).contains("no column price"));
        assert!(refused(rollup(&["country", "country"], Vec::new())).contains("country is declared twice"));
        assert!(refused(rollup(&["country"; 17], Vec::new())).contains("17 dimensions"));
    }

    #[test]
    fn view_merges_segments_and_uncovered_events() {
        let count = measures().swap_remove(0);
        insta::assert_snapshot!(rollup(&["country"], vec![count]).view_sql("s", "e"), @r#"SELECT tracking_id, event_date, hour, country, sum(event_count) AS event_count FROM (SELECT tracking_id, event_date, hour, country, event_count FROM s UNION ALL SELECT tracking_id, event_date, arrow_cast(CAST(event_timestamp AS BIGINT) / 3600000000 * 3600000000, 'Timestamp(Microsecond, Some("UTC"))') AS hour, country, count(*) AS event_count FROM e GROUP BY 1, 2, 3, 4) GROUP BY 1, 2, 3, 4"#);
    }

    #[test]
    fn buckets_are_never_longer_than_a_day() {
        for grain in [Grain::QuarterHour, Grain::Hour, Grain::Day] {
            assert_eq!(Grain::Day.micros() % grain.micros(), 0);
        }
    }
}
