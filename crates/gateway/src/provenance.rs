//! Where the rows of an answer come from, as the Flight SQL server says.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The `app_metadata` of an answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Provenance {
    #[serde(flatten)]
    pub(crate) origin: Origin,
    pub(crate) is_sampled: bool,
    /// The share of visitors that were read: 1 for all.
    pub(crate) sample_rate: f64,
}

/// What the numbers were computed from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Provenance)]
pub(crate) struct Origin {
    /// The version of the table `events`; null unless the token reaches all sites, since it moves with others' events.
    pub(crate) snapshot: Option<u64>,
    /// For each aggregate over events: a rollup, or the events themselves and why.
    pub(crate) sources: Vec<String>,
}

impl Provenance {
    /// `None` if it is not one.
    pub(crate) fn decode(metadata: &[u8]) -> Option<Self> {
        serde_json::from_slice(metadata).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_of_answers_is_understood() {
        let sampled =
            br#"{"snapshot": 12, "sources": ["raw events"], "is_sampled": true, "sample_rate": 0.1, "more": 1}"#;
        let expected = Provenance {
            origin: Origin {
                snapshot: Some(12),
                sources: vec!["raw events".into()],
            },
            is_sampled: true,
            sample_rate: 0.1,
        };
        assert_eq!(Provenance::decode(sampled), Some(expected));
        for other in [&b""[..], b"{}", b"\xff", br#"{"snapshot": 1, "sources": []}"#] {
            assert_eq!(Provenance::decode(other), None);
        }
    }
}
