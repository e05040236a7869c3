//! The caller's token, taken from the one `Authorization: Bearer` header before the body is read.

use axum::extract::FromRequestParts;
use footfall_model::access;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::flight::Token;
use crate::problem::Problem;

/// Longer ones are no tokens of ours.
const MAX_TOKEN: usize = 1024;

pub(crate) struct Caller(pub(crate) Token);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        token(&parts.headers).map(Self).ok_or_else(Problem::no_token)
    }
}

/// The token; `None` if there is none, or none that could be ours.
pub(super) fn token(headers: &HeaderMap) -> Option<Token> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let token = value.to_str().ok().and_then(access::bearer);
    token.filter(|token| token.len() <= MAX_TOKEN).map(Token::new)
}
