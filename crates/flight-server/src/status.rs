//! Maps errors to gRPC statuses; nothing else does.

use std::error::Error;

use footfall_catalog::CatalogError;
use footfall_query::QueryError;
use tonic::Status;

use crate::handle::Malformed;

/// A status travels in a header, and HTTP/2 peers refuse long ones: some SQL errors quote the whole statement.
const MAX_TEXT_BYTES: usize = 2048;

pub(crate) fn of_query(error: QueryError) -> Status {
    match error {
        QueryError::Invalid(text) => Status::invalid_argument(short(text)),
        QueryError::NotFound(text) => Status::not_found(short(text)),
        QueryError::Denied(text) => Status::permission_denied(short(text)),
        QueryError::Unsupported(text) => Status::unimplemented(short(text)),
        QueryError::Limit(text) => Status::resource_exhausted(short(text)),
        QueryError::Timeout(text) => Status::deadline_exceeded(short(text)),
        QueryError::Unavailable(text) => Status::unavailable(short(text)),
        QueryError::Cancelled => Status::cancelled(error.to_string()),
        QueryError::Internal(text) => internal(text),
    }
}

pub(crate) fn of_catalog(error: &CatalogError) -> Status {
    tracing::warn!(%error, "a token could not be checked");
    Status::unavailable("the token could not be checked because the catalog does not answer; try again")
}

pub(crate) fn of_malformed(Malformed(text): Malformed) -> Status {
    Status::invalid_argument(short(text))
}

/// An internal error: a client can do nothing about it, an operator has to see it.
pub(crate) fn internal(error: impl Into<Box<dyn Error + Send + Sync>>) -> Status {
    let text = error.into().to_string();
    tracing::error!(error = %text, "a Flight call failed");
    Status::internal(short(text))
}

fn short(mut text: String) -> String {
    if text.len() > MAX_TEXT_BYTES {
        let cut = text.floor_char_boundary(MAX_TEXT_BYTES);
        text.truncate(cut);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_kinds_map_to_codes() {
        use tonic::Code;
        let codes = [
            (QueryError::Invalid("a".into()), Code::InvalidArgument),
            (QueryError::NotFound("a".into()), Code::NotFound),
            (QueryError::Denied("a".into()), Code::PermissionDenied),
            (QueryError::Unsupported("a".into()), Code::Unimplemented),
            (QueryError::Limit("a".into()), Code::ResourceExhausted),
            (QueryError::Timeout("a".into()), Code::DeadlineExceeded),
            (QueryError::Unavailable("a".into()), Code::Unavailable),
            (QueryError::Internal("a".into()), Code::Internal),
        ];
        for (error, code) in codes {
            let status = of_query(error);
            assert_eq!((status.code(), status.message()), (code, "a"));
        }
        assert_eq!(of_query(QueryError::Cancelled).code(), Code::Cancelled);
    }

    #[test]
    fn long_text_is_cut_at_char_boundary() {
        let status = of_query(QueryError::Invalid("x".to_owned() + &"é".repeat(2000)));
        assert!(status.message().len() <= MAX_TEXT_BYTES + '…'.len_utf8());
        assert!(status.message().ends_with("é…"));
    }
}
