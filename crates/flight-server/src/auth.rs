//! Authentication: from the `authorization` header to a principal. Every call carries its token; nothing is kept
//! between calls.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use footfall_catalog::Directory;
use footfall_model::access::{Principal, Role, bearer};
use tonic::Status;
use tonic::metadata::MetadataMap;

use crate::{session, status};

/// Go and Grafana send Basic without padding, Java and C++ with.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Turns tokens into principals.
#[derive(Debug)]
pub(crate) struct Auth {
    directory: Arc<Directory>,
}

impl Auth {
    pub(crate) fn new(directory: Arc<Directory>) -> Self {
        Self { directory }
    }

    /// The principal of a call, and the token that identifies it.
    ///
    /// # Errors
    /// UNAUTHENTICATED without a valid token; UNAVAILABLE if the catalog does not answer; INVALID_ARGUMENT if the
    /// headers ask for a session that does not exist.
    pub(crate) async fn principal(&self, metadata: &MetadataMap) -> Result<(Principal, BearerToken), Status> {
        let token = token(metadata).map_err(|refusal| Status::unauthenticated(refusal.to_string()))?;
        let known = self.directory.principal(&token.0).await;
        let principal = known.map_err(|error| status::of_catalog(&error))?.ok_or_else(|| {
            Status::unauthenticated("the token is unknown, expired or revoked: `footfall token list` shows all")
        })?;
        tracing::Span::current().record("token_id", principal.token_id.as_str());
        session::check(metadata).map_err(status::of_malformed)?;
        Ok((principal, token))
    }

    /// As [`Self::principal`], for calls that read.
    ///
    /// # Errors
    /// PERMISSION_DENIED for a token that may only send events.
    pub(crate) async fn reader(&self, metadata: &MetadataMap) -> Result<Principal, Status> {
        let (principal, _) = self.principal(metadata).await?;
        match principal.role {
            Role::Admin | Role::Reader => Ok(principal),
            Role::Writer => Err(Status::permission_denied(format!(
                "token {} is a writer's: it sends events and may not query; use a reader's token",
                principal.token_id
            ))),
        }
    }
}

/// A token's secret. `Debug` does not print it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct BearerToken(String);

impl BearerToken {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(..)")
    }
}

/// Why a call has no token. The messages never repeat what the client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum CredentialsError {
    #[error(
        "a token is needed: send `authorization: Bearer TOKEN`, or Basic with any user name and the token as the \
         password; `footfall token create` creates one"
    )]
    Missing,
    #[error("the `authorization` header is not text")]
    NotText,
    #[error("the `authorization` header is neither `Bearer TOKEN` nor `Basic BASE64`")]
    UnknownScheme,
    #[error("the Basic credentials are not base64 of `user:token`")]
    NotBasic,
    #[error("the token is empty; with Basic, the token is the password")]
    Empty,
}

fn token(metadata: &MetadataMap) -> Result<BearerToken, CredentialsError> {
    let header = metadata.get("authorization").ok_or(CredentialsError::Missing)?;
    parse(header.to_str().map_err(|_| CredentialsError::NotText)?)
}

fn parse(header: &str) -> Result<BearerToken, CredentialsError> {
    if let Some(token) = bearer(header) {
        return Ok(BearerToken(token.to_owned()));
    }
    let (scheme, credentials) = header.trim().split_once(' ').ok_or(CredentialsError::UnknownScheme)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(CredentialsError::UnknownScheme);
    }
    let decoded = BASE64
        .decode(credentials.trim())
        .map_err(|_| CredentialsError::NotBasic)?;
    let pair = String::from_utf8(decoded).map_err(|_| CredentialsError::NotBasic)?;
    let (_user, password) = pair.split_once(':').ok_or(CredentialsError::NotBasic)?;
    if password.is_empty() {
        return Err(CredentialsError::Empty);
    }
    Ok(BearerToken(password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(pair: &str) -> String {
        format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(pair))
    }

    #[test]
    fn bearer_and_basic_carry_token() {
        let padded = basic("token:abcd");
        assert!(padded.ends_with('='));
        let unpadded = padded.trim_end_matches('=');
        for header in [
            "Bearer abcd",
            "bearer  abcd ",
            "BEARER abcd",
            &padded,
            unpadded,
            &basic(":abcd"),
        ] {
            assert_eq!(parse(header).as_ref().map(BearerToken::expose), Ok("abcd"), "{header}");
        }
        assert_eq!(
            parse(&basic("any:ab:cd")).as_ref().map(BearerToken::expose),
            Ok("ab:cd")
        );
    }

    #[test]
    fn other_authorization_is_refused_with_reason() {
        let cases = [
            ("Bearer", CredentialsError::UnknownScheme),
            ("", CredentialsError::UnknownScheme),
            ("Digest abcd", CredentialsError::UnknownScheme),
            ("Basic ****", CredentialsError::NotBasic),
            (&basic("no colon"), CredentialsError::NotBasic),
            ("Basic /////w==", CredentialsError::NotBasic),
            (&basic("user:"), CredentialsError::Empty),
            ("Basic ", CredentialsError::UnknownScheme),
        ];
        for (header, refusal) in cases {
            assert_eq!(parse(header), Err(refusal), "{header}");
        }
        assert_eq!(token(&MetadataMap::new()), Err(CredentialsError::Missing));
    }

    #[test]
    fn token_is_hidden_in_debug() {
        assert_eq!(format!("{:?}", BearerToken("secret".into())), "BearerToken(..)");
    }
}
