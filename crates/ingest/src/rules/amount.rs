//! Money: decimal text in units of 1/10,000, without floats.

use super::{Problem, quoted};

/// The accepted forms of an amount.
pub(crate) const AMOUNT: &str = "a number, or a decimal number in a string, as 99.99";

/// Amounts are below this many units: 18 digits, as in `Decimal128(18, 4)`.
const LIMIT: i64 = 1_000_000_000_000_000_000;

/// Digits of the largest amount below [`LIMIT`], and how many of them are after the point.
const DIGITS: i64 = 18;
const SCALE: i64 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DecimalError {
    NotANumber,
    OutOfRange,
}

/// An amount in units of 1/10,000; `None`: the text is blank.
pub(crate) fn amount(text: &str) -> Result<Option<i64>, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    parse(text).map(Some).map_err(|error| match error {
        DecimalError::OutOfRange => too_large(),
        DecimalError::NotANumber => Problem::new(format!("{} is not a number", quoted(text))).expected(AMOUNT),
    })
}

/// Refuses units that don't fit the column.
pub(crate) fn checked_amount(units: i64) -> Result<i64, Problem> {
    match units.unsigned_abs() < LIMIT.unsigned_abs() {
        true => Ok(units),
        false => Err(too_large()),
    }
}

fn too_large() -> Problem {
    Problem::new("is too large").expected("less than 100000000000000, either side of zero")
}

/// Parses `-12.5`, `1e3` and the like to units of 1/10,000.
///
/// More than four digits after the point are rounded, half away from zero: a shop's floats may turn 0.3 into
/// `0.30000000000000004`, and its order must not be dropped. Amounts of more than 18 digits are rejected.
pub(super) fn parse(text: &str) -> Result<i64, DecimalError> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
        None => (rest, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return Err(DecimalError::NotANumber),
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return Err(DecimalError::NotANumber);
    }
    let units = scaled(whole, fraction, exponent)?;
    Ok(if negative { -units } else { units })
}

/// The exponent, clamped without effect on the result: texts are shorter than a million digits.
fn parse_exponent(text: &str) -> Result<i64, DecimalError> {
    const FAR: i64 = 10_000_000;
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(DecimalError::NotANumber);
    }
    let size = digits
        .bytes()
        .fold(0, |sum: i64, b| (sum * 10 + i64::from(b - b'0')).min(FAR));
    Ok(if negative { -size } else { size })
}

/// `whole.fraction * 10^exponent` in units, rounded.
fn scaled(whole: &str, fraction: &str, exponent: i64) -> Result<i64, DecimalError> {
    let length = |digits: &str| i64::try_from(digits.len()).unwrap_or(i64::MAX / 4);
    let leading_zeros = {
        let in_whole = whole.bytes().take_while(|&b| b == b'0').count();
        if in_whole < whole.len() {
            in_whole
        } else {
            in_whole + fraction.bytes().take_while(|&b| b == b'0').count()
        }
    };
    let mut digits = whole
        .bytes()
        .chain(fraction.bytes())
        .skip(leading_zeros)
        .map(|b| i64::from(b - b'0'))
        .peekable();
    if digits.peek().is_none() {
        return Ok(0);
    }
    let significant = length(whole) + length(fraction) - i64::try_from(leading_zeros).unwrap_or(0);
    let kept = significant + exponent - length(fraction) + SCALE;
    if kept > DIGITS {
        return Err(DecimalError::OutOfRange);
    }
    if kept < 0 {
        return Ok(0);
    }
    let units = (0..kept).fold(0, |sum, _| sum * 10 + digits.next().unwrap_or(0));
    let rounded = units + i64::from(digits.next().unwrap_or(0) >= 5);
    if rounded < LIMIT {
        Ok(rounded)
    } else {
        Err(DecimalError::OutOfRange)
    }
}

#[cfg(test)]
mod tests {
    use super::DecimalError::{NotANumber, OutOfRange};
    use super::*;

    #[test]
    fn four_decimals_are_exact() {
        for (text, units) in [
            ("0", 0),
            ("-0", 0),
            ("-0.0", 0),
            ("1", 10_000),
            ("99.99", 999_900),
            ("-12.5", -125_000),
            ("0.0001", 1),
            ("007.50", 75_000),
            ("1e3", 10_000_000),
            ("1.5E-2", 150),
            ("12345e-4", 12_345),
            ("99999999999999.9999", 999_999_999_999_999_999),
            ("-99999999999999.9999", -999_999_999_999_999_999),
        ] {
            assert_eq!(parse(text), Ok(units), "{text}");
        }
    }

    #[test]
    fn further_decimals_round_half_away() {
        for (text, units) in [
            ("0.30000000000000004", 3_000),
            ("0.00005", 1),
            ("-0.00005", -1),
            ("0.00004999", 0),
            ("1.99995", 20_000),
            ("1e-400", 0),
            ("0.000000000000000000000000001", 0),
        ] {
            assert_eq!(parse(text), Ok(units), "{text}");
        }
    }

    #[test]
    fn too_large_amounts_are_rejected() {
        for text in [
            "100000000000000",
            "99999999999999.99995",
            "1e400",
            "1e99999999999999999999",
            "-1e14",
        ] {
            assert_eq!(parse(text), Err(OutOfRange), "{text}");
        }
    }

    #[test]
    fn non_decimal_text_is_rejected() {
        for text in [
            "", "-", "+1", ".5", "5.", "1,50", "1_000", "NaN", "inf", "0x10", " 1", "1 ", "1e", "1e+", "1.2.3", "٣",
        ] {
            assert_eq!(parse(text), Err(NotANumber), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn formatted_units_parse_back(units in -(LIMIT - 1)..LIMIT) {
            let sign = if units < 0 { "-" } else { "" };
            let size = units.unsigned_abs();
            let text = format!("{sign}{}.{:04}", size / 10_000, size % 10_000);
            proptest::prop_assert_eq!(parse(&text), Ok(units));
        }

        #[test]
        fn arbitrary_text_never_panics(text in "[-+0-9.eE]{0,40}") {
            let _ = parse(&text);
        }
    }
}
