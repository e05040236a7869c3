//! The formats of rows, and which one a client wants; and whether texts of CSV may be formulas.

use http::HeaderMap;
use http::header::ACCEPT;

use crate::problem::Problem;

/// What happens to texts in CSV that spreadsheets would take for formulas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Escape {
    /// They begin with an apostrophe.
    #[default]
    Formulas,
    /// They stay as they are.
    None,
}

impl Escape {
    pub(super) const NAMES: [&str; 2] = ["formulas", "none"];

    fn named(name: &str) -> Result<Self, Problem> {
        match name {
            "formulas" => Ok(Self::Formulas),
            "none" => Ok(Self::None),
            other => Err(Problem::unknown("escape", "way to escape", other, Self::NAMES)),
        }
    }
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Encoding {
    pub(super) format: Format,
    pub(super) escape: Escape,
}

impl Encoding {
    /// As [`Format::wanted`]; `escape` belongs to CSV alone.
    pub(super) fn wanted(format: Option<&str>, escape: Option<&str>, headers: &HeaderMap) -> Result<Self, Problem> {
        let format = Format::wanted(format, headers)?;
        let escape = escape.map(Escape::named).transpose()?;
        if escape.is_some() && format != Format::Csv {
            let detail = format!(
                "only CSV is escaped, and the rows are wanted as {}; leave it out",
                format.name()
            );
            return Err(Problem::invalid("escape", detail));
        }
        Ok(Self {
            format,
            escape: escape.unwrap_or_default(),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    NdJson,
    Csv,
    Arrow,
    Parquet,
}

impl Format {
    pub(super) const ALL: [Self; 5] = [Self::Json, Self::NdJson, Self::Csv, Self::Arrow, Self::Parquet];

    /// In `format`, and at the end of a file's name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::NdJson => "ndjson",
            Self::Csv => "csv",
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
        }
    }

    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::NdJson => "application/x-ndjson",
            Self::Csv => "text/csv",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// `format` if it is given, else the best of what the client accepts; JSON if it does not say.
    pub(super) fn wanted(format: Option<&str>, headers: &HeaderMap) -> Result<Self, Problem> {
        match format {
            Some(name) => Self::named(name),
            None => Self::accepted(headers),
        }
    }

    fn named(name: &str) -> Result<Self, Problem> {
        let found = Self::ALL.into_iter().find(|format| format.name() == name);
        found.ok_or_else(|| Problem::unknown("format", "format", name, Self::ALL.map(Self::name)))
    }

    fn accepted(headers: &HeaderMap) -> Result<Self, Problem> {
        let accept = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let accept: Vec<&str> = accept.flat_map(|value| value.split(',')).collect();
        if accept.is_empty() {
            return Ok(Self::Json);
        }
        let mut best: Option<(f32, Self)> = None;
        for range in accept {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts
                .find_map(|part| part.strip_prefix("q=")?.parse().ok())
                .unwrap_or(1.0);
            if let Some(format) = Self::of_media_range(&name)
                && quality > best.map_or(0.0, |(quality, _)| quality)
            {
                best = Some((quality, format));
            }
        }
        best.map(|(_, format)| format)
            .ok_or_else(|| Problem::not_acceptable(&Self::ALL.map(Self::media_type)))
    }

    fn of_media_range(range: &str) -> Option<Self> {
        match range {
            "*/*" | "application/*" => Some(Self::Json),
            "text/*" => Some(Self::Csv),
            "application/ndjson" => Some(Self::NdJson),
            other => Self::ALL.into_iter().find(|format| format.media_type() == other),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn best_accepted_format_is_chosen() {
        for (accept, expected) in [
            ("*/*", Some(Format::Json)),
            ("text/csv", Some(Format::Csv)),
            ("Text/CSV; charset=utf-8", Some(Format::Csv)),
            ("text/html, application/x-ndjson;q=0.9, */*;q=0.1", Some(Format::NdJson)),
            ("application/vnd.apache.arrow.stream", Some(Format::Arrow)),
            ("application/vnd.apache.parquet", Some(Format::Parquet)),
            ("text/html", None),
            ("text/csv;q=0", None),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(Format::wanted(None, &headers).ok(), expected, "{accept}");
            assert_eq!(Format::wanted(Some("csv"), &headers).unwrap(), Format::Csv);
        }
        assert_eq!(Format::wanted(None, &HeaderMap::new()).unwrap(), Format::Json);
        let wanted = |format, escape| Encoding::wanted(Some(format), escape, &HeaderMap::new());
        assert_eq!(wanted("csv", None).unwrap().escape, Escape::Formulas);
        assert_eq!(wanted("csv", Some("none")).unwrap().escape, Escape::None);
        assert!(wanted("csv", Some("all")).is_err() && wanted("json", Some("none")).is_err());
        let problem = Format::wanted(Some("parket"), &HeaderMap::new()).unwrap_err();
        assert_eq!(problem.detail(), "unknown format `parket`; did you mean `parquet`?");
    }
}
