use datafusion::common::ScalarValue;
use datafusion::common::config::ConfigOptions;
use datafusion::functions::datetime;
use proptest::prelude::*;

use super::*;

const ZONES: [&str; 8] = [
    "UTC",
    "+00:00",
    "Europe/Berlin",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    // Changed its clock at one minute past midnight.
    "America/St_Johns",
    // Had days without a midnight.
    "America/Sao_Paulo",
    "-03:30",
];

fn arguments(unit: Option<&str>, times: &ArrayRef, function: &ByQuarters) -> ScalarFunctionArgs {
    let time: FieldRef = Arc::new(Field::new("time", times.data_type().clone(), true));
    let unit = unit.map(ScalarValue::from);
    let unit_field = unit
        .as_ref()
        .map(|_| Arc::new(Field::new("unit", DataType::Utf8, false)));
    let arg_fields: Vec<FieldRef> = unit_field.into_iter().chain([time]).collect();
    let return_field = function.return_field_from_args(ReturnFieldArgs {
        arg_fields: &arg_fields,
        scalar_arguments: &match &unit {
            Some(unit) => vec![Some(unit), None],
            None => vec![None],
        },
    });
    let args = unit.clone().map(ColumnarValue::Scalar).into_iter();
    ScalarFunctionArgs {
        args: args.chain([ColumnarValue::Array(Arc::clone(times))]).collect(),
        arg_fields,
        number_rows: times.len(),
        return_field: return_field.unwrap(),
        config_options: Arc::new(ConfigOptions::default()),
    }
}

fn functions() -> Vec<(ByQuarters, Vec<Option<&'static str>>)> {
    let truncations = ["hour", "day", "week", "month", "quarter", "year"];
    let parts = [
        "hour", "day", "week", "month", "quarter", "year", "dow", "doy", "isodow", "isoyear",
    ];
    vec![
        (
            ByQuarters::new(Some(datetime::date_trunc()), Kind::Truncation),
            truncations.map(Some).to_vec(),
        ),
        (
            ByQuarters::new(Some(datetime::date_part()), Kind::Part),
            parts.map(Some).to_vec(),
        ),
        (
            ByQuarters::new(Some(datetime::to_local_time()), Kind::LocalTime),
            vec![None],
        ),
        (ByQuarters::new(None, Kind::Date), vec![None]),
    ]
}

proptest! {
    #[test]
    fn quarters_give_what_each_row_gives(
        // Changes of clocks: 2006-10-29 in Newfoundland, 2017-10-15 in Brazil, 2026-10-25 in Germany.
        around in proptest::sample::select(vec![1_162_089_060_i64, 1_508_036_400, 1_792_890_000, 0, -5]),
        zone in proptest::sample::select(ZONES.to_vec()),
        hours in 1_i64..100,
        offsets in proptest::collection::vec(proptest::option::weighted(0.9, -1.0_f64..1.0), 1..2_000),
    ) {
        let width = (hours * 3_600_000_000) as f64;
        let at = |offset: f64| around * 1_000_000 + (offset * width) as i64;
        let times: TimestampMicrosecondArray = offsets.iter().map(|offset| offset.map(at)).collect();
        let times: ArrayRef = Arc::new(times.with_timezone(zone));
        for (function, units) in functions() {
            for unit in units {
                let arguments = || arguments(unit, &times, &function);
                let by_rows = function.plainly(arguments()).unwrap().into_array(times.len()).unwrap();
                let made = function.invoke_with_args(arguments()).unwrap().into_array(times.len()).unwrap();
                prop_assert_eq!(&made, &by_rows, "{:?} {:?} {}", function.kind, unit, zone);
            }
        }
    }
}

#[test]
fn times_of_a_day_have_few_quarters() {
    let times: TimestampMicrosecondArray = (0..8_192).map(|row| Some(row * 10_000_000)).collect();
    let quarters = Quarters::of(&times).unwrap();
    assert_eq!(quarters.first.len(), 92);
    let far: TimestampMicrosecondArray = (0..8_192).map(|row| Some(row * DAY)).collect();
    assert!(Quarters::of(&far).is_none());
    assert!(Quarters::of(&TimestampMicrosecondArray::from(vec![None, None])).is_none());
    for extreme in [Micros::MIN, Micros::MAX] {
        assert!(Quarters::of(&TimestampMicrosecondArray::from(vec![extreme; 100])).is_none());
    }
}
