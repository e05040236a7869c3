//! The lake's location: a local folder or a bucket, behind one `ObjectStore`.

mod local;
mod staging;

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};

use crate::LakeError;
use crate::folders::remove_empty;
use local::DurableLocal;

/// For how long one request to S3 is retried, and the longest pause between two attempts.
///
/// Short, because these retries are silent: they cover a hiccup. In an outage, startup, the writer and the follower
/// retry and log by themselves, and a query should fail rather than block.
const PERSISTENCE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(5));

/// The root of a lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    Local(PathBuf),
    S3 { bucket: String, prefix: String },
}

/// What S3 needs besides the standard `AWS_*` environment variables; what is `None` is taken from there.
#[derive(Clone, Default)]
pub struct S3Options {
    /// URL of a server that is not Amazon's.
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<String>,
    /// Whether plain HTTP is allowed.
    pub allow_http: bool,
}

impl FromStr for Location {
    type Err = LakeError;

    fn from_str(text: &str) -> Result<Self, LakeError> {
        let refuse = |reason: &str| LakeError::Location {
            location: text.into(),
            reason: reason.into(),
        };
        match text.split_once("://") {
            None if text.is_empty() => Err(refuse("it is empty")),
            None => Ok(Self::Local(text.into())),
            Some(("file", path)) if path.starts_with('/') => Ok(Self::Local(path.into())),
            Some(("s3", rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return Err(refuse("it names no bucket: s3://bucket/prefix"));
                }
                Ok(Self::S3 {
                    bucket: bucket.into(),
                    prefix: prefix.trim_matches('/').into(),
                })
            }
            Some(_) => Err(refuse("only local folders and s3://bucket/prefix are known")),
        }
    }
}

impl Location {
    /// The store of a shard of the lake, rooted at the shard.
    pub fn shard_store(&self, shard: u8, s3: &S3Options) -> Result<Arc<dyn ObjectStore>, LakeError> {
        let shard = shard_folder(shard);
        match self {
            Self::Local(root) => {
                let root = root.join(shard);
                let store = DurableLocal::open(&root).map_err(LakeError::store(&Path::default()))?;
                Ok(Arc::new(store))
            }
            Self::S3 { bucket, prefix } => {
                let store = s3.client(bucket).map_err(LakeError::store(&Path::default()))?;
                let root = Path::from(prefix.as_str()).join(shard);
                Ok(Arc::new(PrefixStore::new(store, root)))
            }
        }
    }
}

impl Location {
    /// Deletes a folder of the shard, that of a table which nobody uses any more. Returns how many files.
    ///
    /// # Errors
    /// The store's; some files may be deleted.
    pub async fn delete_folder(&self, shard: u8, store: &Arc<dyn ObjectStore>, folder: &str) -> Result<u64, LakeError> {
        let prefix = Path::from(folder);
        let failed = LakeError::store(&prefix);
        let found: Result<Vec<Path>, _> = store
            .list(Some(&prefix))
            .map_ok(|object| object.location)
            .try_collect()
            .await;
        let mut deleted = 0;
        let files = stream::iter(found.map_err(failed)?).map(Ok).boxed();
        let mut done = store.delete_stream(files);
        while let Some(outcome) = done.next().await {
            match outcome {
                Ok(_) => deleted += 1,
                // Another process deletes the same.
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(LakeError::store(&prefix)(error)),
            }
        }
        if let Self::Local(root) = self {
            remove_empty(&root.join(shard_folder(shard)).join(folder));
        }
        Ok(deleted)
    }
}

/// The folder of a shard below the lake's root.
fn shard_folder(shard: u8) -> String {
    format!("shard={shard:02}")
}

impl S3Options {
    fn client(&self, bucket: &str) -> object_store::Result<object_store::aws::AmazonS3> {
        let (retry_timeout, max_backoff) = PERSISTENCE;
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_retry(RetryConfig {
                retry_timeout,
                backoff: BackoffConfig {
                    max_backoff,
                    ..BackoffConfig::default()
                },
                ..RetryConfig::default()
            })
            .with_allow_http(self.allow_http);
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(region) = &self.region {
            builder = builder.with_region(region);
        }
        if let Some(id) = &self.access_key_id {
            builder = builder.with_access_key_id(id);
        }
        if let Some(secret) = &self.secret_access_key {
            builder = builder.with_secret_access_key(secret);
        }
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn location_is_folder_or_bucket() {
        let parse = |text: &str| text.parse::<Location>();
        assert_eq!(parse("./lake").unwrap(), Location::Local("./lake".into()));
        assert_eq!(parse("file:///srv/lake").unwrap(), Location::Local("/srv/lake".into()));
        let s3 = |bucket: &str, prefix: &str| Location::S3 {
            bucket: bucket.into(),
            prefix: prefix.into(),
        };
        assert_eq!(parse("s3://events").unwrap(), s3("events", ""));
        assert_eq!(parse("s3://events/a/b/").unwrap(), s3("events", "a/b"));
        for wrong in ["", "s3://", "s3:///x", "ftp://host/x"] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(error.contains(&format!("{wrong:?}")), "{error}");
        }
    }
}
