//! PostgreSQL's patterns of `to_timestamp`, `to_date` and `to_char`: DataFusion's functions know those of chrono, and
//! `to_char` would return the others as they are.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value, ValueWithSpan,
};

use super::rewrite::take;
use crate::QueryError;

/// PostgreSQL's field and chrono's; the longer one first where one begins with the other.
const FIELDS: [(&str, &str); 22] = [
    ("YYYY", "%Y"),
    ("IYYY", "%G"),
    ("HH24", "%H"),
    ("HH12", "%I"),
    ("FMMonth", "%B"),
    ("FMDay", "%A"),
    ("DDD", "%j"),
    ("Mon", "%b"),
    ("YY", "%y"),
    ("MM", "%m"),
    ("DD", "%d"),
    ("HH", "%I"),
    ("MI", "%M"),
    ("SS", "%S"),
    ("US", "%6f"),
    ("MS", "%3f"),
    ("AM", "%p"),
    ("PM", "%p"),
    ("IW", "%V"),
    ("ID", "%u"),
    ("Dy", "%a"),
    ("CC", "%C"),
];

/// Rewrites the pattern of a call, if it is constant and has no `%`. Fails for fields that chrono lacks.
pub(super) fn rewrite(expr: &mut Expr) -> Result<(), QueryError> {
    let Expr::Function(call) = expr else {
        return Ok(());
    };
    let name = call.name.to_string().to_lowercase();
    let reads = match name.as_str() {
        "to_char" | "date_format" => false,
        "to_timestamp"
        | "to_timestamp_seconds"
        | "to_timestamp_millis"
        | "to_timestamp_micros"
        | "to_timestamp_nanos"
        | "to_date" => true,
        _ => return Ok(()),
    };
    let Some((value, pattern)) = arguments(call) else {
        return Ok(());
    };
    let Some(translated) = translate(pattern, reads)? else {
        return Ok(());
    };
    let has_time = ["%H", "%I", "%M", "%S"].iter().any(|field| translated.contains(field));
    *pattern = translated;
    if reads && !has_time && name != "to_date" {
        pattern.push_str(" %H:%M:%S");
        *value = Expr::BinaryOp {
            left: Box::new(take(value)),
            op: BinaryOperator::StringConcat,
            right: Box::new(Expr::Value(Value::SingleQuotedString(" 00:00:00".into()).into())),
        };
    }
    Ok(())
}

/// The two arguments of a call whose second is constant text.
fn arguments(call: &mut Function) -> Option<(&mut Expr, &mut String)> {
    let FunctionArguments::List(list) = &mut call.args else {
        return None;
    };
    let [
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(ValueWithSpan {
            value: Value::SingleQuotedString(pattern),
            ..
        }))),
    ] = list.args.as_mut_slice()
    else {
        return None;
    };
    Some((value, pattern))
}

/// The pattern in chrono's fields; `None` if it is one of chrono's, or has no fields at all.
fn translate(pattern: &str, reads: bool) -> Result<Option<String>, QueryError> {
    if pattern.contains('%') || !pattern.contains(|character: char| character.is_ascii_alphabetic()) {
        return Ok(None);
    }
    let mut made = String::new();
    let mut rest = pattern;
    while let Some(character) = rest.chars().next() {
        if let Some(text) = rest.strip_prefix('"') {
            let (literal, after) = text.split_once('"').ok_or_else(|| unknown(rest))?;
            made.push_str(literal);
            rest = after;
        } else if reads && let Some(after) = fraction(rest) {
            made.push_str("%.f");
            rest = after;
        } else if let Some((chrono, after)) = field(rest) {
            made.push_str(chrono);
            rest = after;
        } else if character.is_ascii_alphabetic() && !is_separator(rest) {
            return Err(unknown(rest));
        } else {
            made.push(character);
            rest = rest.get(character.len_utf8()..).unwrap_or_default();
        }
    }
    Ok(Some(made))
}

fn fraction(rest: &str) -> Option<&str> {
    [".US", ".MS", ".us", ".ms"]
        .iter()
        .find_map(|field| rest.strip_prefix(field))
}

/// Names are taken as they are written, since their case is that of the result.
fn field(rest: &str) -> Option<(&'static str, &str)> {
    FIELDS.iter().find_map(|(field, chrono)| {
        let written = rest.get(..field.len())?;
        let named = field.contains(|character: char| character.is_ascii_lowercase());
        let matches = written == *field || (!named && written.eq_ignore_ascii_case(field));
        Some((*chrono, rest.get(field.len()..)?)).filter(|_| matches)
    })
}

/// The `T` between a date and a time.
fn is_separator(rest: &str) -> bool {
    rest.get(1..5).is_some_and(|next| next.eq_ignore_ascii_case("HH24"))
}

fn unknown(rest: &str) -> QueryError {
    QueryError::Unsupported(format!(
        "the pattern of a time is not understood from '{rest}' on: write YYYY, MM, Mon, FMMonth, DD, Dy, HH24, HH12, MI, \
         SS, MS, US, AM, IYYY, IW, ID or DDD, other text in double quotes, or a pattern of chrono such as '%Y-%m-%d'"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_postgresql_become_chronos() {
        for (pattern, reads, expected) in [
            ("YYYY-MM-DD HH24:MI:SS.US", true, Some("%Y-%m-%d %H:%M:%S%.f")),
            ("YYYY-MM-DD HH24:MI:SS.US", false, Some("%Y-%m-%d %H:%M:%S.%6f")),
            ("yyyy-mm-dd", true, Some("%Y-%m-%d")),
            ("DD.MM.YYYY", false, Some("%d.%m.%Y")),
            ("Dy, DD Mon YYYY", false, Some("%a, %d %b %Y")),
            ("YYYY-MM-DDTHH24:MI", false, Some("%Y-%m-%dT%H:%M")),
            ("IYYY\"-W\"IW", false, Some("%G-W%V")),
            ("%Y-%m-%d", true, None),
            ("--", false, None),
        ] {
            assert_eq!(translate(pattern, reads).unwrap().as_deref(), expected, "{pattern}");
        }
        for pattern in ["Month", "MON", "Q", "TZ", "DDth", "\"open", "abc"] {
            assert!(translate(pattern, false).is_err(), "{pattern}");
        }
    }
}
