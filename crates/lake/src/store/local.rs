//! A local folder as an object store whose `put` is durable.
//!
//! `object_store`'s own local store renames a file into place without syncing it: after a power cut a commit could
//! exist with no bytes in it. Here the bytes are on the disk before the name is, and the name is on the disk before
//! `put` returns.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use parking_lot::Mutex;

use super::staging::{self, StagedFile};
use crate::create_durably;

const NAME: &str = "local folder";

/// A local folder. Reads of whole files, deletes and lists are `object_store`'s own, but lists are sorted by name.
#[derive(Debug, Clone)]
pub(super) struct DurableLocal {
    files: Arc<LocalFileSystem>,
    root: PathBuf,
}

impl DurableLocal {
    /// Creates the folder if it is missing, and removes unfinished files that killed processes left in it.
    pub(super) fn open(root: &FsPath) -> Result<Self> {
        create_durably(root).map_err(|e| failed(root, e))?;
        staging::collect(root).map_err(|e| failed(root, e))?;
        let files = LocalFileSystem::new_with_prefix(root)?;
        let root = fs::canonicalize(root).map_err(|e| failed(root, e))?;
        Ok(Self {
            files: Arc::new(files),
            root,
        })
    }
}

impl fmt::Display for DurableLocal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.root.display())
    }
}

#[async_trait]
impl ObjectStore for DurableLocal {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let exclusive = match opts.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(_) => {
                return Err(object_store::Error::NotImplemented {
                    operation: "conditional overwrite".into(),
                    implementer: NAME.into(),
                });
            }
        };
        let target = self.files.path_to_filesystem(location)?;
        tokio::task::spawn_blocking(move || {
            let stored = StagedFile::create(&target).and_then(|mut staged| {
                staged.write_at(0, payload.iter())?;
                staged.publish(exclusive)
            });
            stored.map(|()| STORED).map_err(|e| failed(&target, e))
        })
        .await?
    }

    async fn put_multipart_opts(&self, location: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let target = self.files.path_to_filesystem(location)?;
        tokio::task::spawn_blocking(move || {
            let staged = StagedFile::create(&target).map_err(|e| failed(&target, e))?;
            let upload: Box<dyn MultipartUpload> = Box::new(LocalUpload {
                target,
                staged: Arc::new(Mutex::new(Some(staged))),
                offset: 0,
            });
            Ok(upload)
        })
        .await?
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.files.get_opts(location, options).await
    }

    /// Reads on the caller's thread: who asks for ranges decodes them there, which takes longer than to copy them from the
    /// page cache, and handing the read to another thread would take as long as many of these copies.
    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let path = self.files.path_to_filesystem(location)?;
        read_ranges(&path, ranges).map_err(|e| failed(&path, e))
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.files.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        in_order(self.files.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        in_order(self.files.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.files.copy_opts(from, to, options).await
    }
}

fn read_ranges(path: &FsPath, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
    let file = File::open(path)?;
    let end = file.metadata()?.len();
    let read = ranges.iter().map(|range| {
        // Before memory is taken for it: a damaged file may name any range.
        if range.end > end {
            let text = format!("bytes {} to {} of a file of {end}", range.start, range.end);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        let length = usize::try_from(range.end.saturating_sub(range.start)).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, range.start)?;
        Ok(Bytes::from(bytes))
    });
    read.collect()
}

/// Sorted like S3's lists, as Delta's reader assumes to find the newest version. A folder's own order is arbitrary.
fn in_order(found: BoxStream<'static, Result<ObjectMeta>>) -> BoxStream<'static, Result<ObjectMeta>> {
    let sorted = async move {
        let mut all: Vec<ObjectMeta> = found.try_collect().await?;
        all.sort_unstable_by(|a, b| a.location.cmp(&b.location));
        Ok::<_, object_store::Error>(stream::iter(all.into_iter().map(Ok)))
    };
    stream::once(sorted).try_flatten().boxed()
}

/// A file that is written part by part; if dropped before completion, it is deleted.
#[derive(Debug)]
struct LocalUpload {
    target: PathBuf,
    /// `None` after completion.
    staged: Arc<Mutex<Option<StagedFile>>>,
    /// Offset of the next part.
    offset: u64,
}

#[async_trait]
impl MultipartUpload for LocalUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (staged, target, offset) = (Arc::clone(&self.staged), self.target.clone(), self.offset);
        self.offset += data.content_length() as u64;
        let written = tokio::task::spawn_blocking(move || {
            let mut staged = staged.lock();
            let staged = staged.as_mut().ok_or_else(ended);
            staged
                .and_then(|staged| staged.write_at(offset, data.iter()))
                .map_err(|e| failed(&target, e))
        });
        async move { written.await? }.boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let (staged, target) = (self.staged.lock().take(), self.target.clone());
        tokio::task::spawn_blocking(move || {
            let published = staged.ok_or_else(ended).and_then(|staged| staged.publish(false));
            published.map(|()| STORED).map_err(|e| failed(&target, e))
        })
        .await?
    }

    async fn abort(&mut self) -> Result<()> {
        self.staged.lock().take();
        Ok(())
    }
}

fn ended() -> io::Error {
    io::Error::other("the upload has ended")
}

const STORED: PutResult = PutResult {
    e_tag: None,
    version: None,
};

fn failed(path: &FsPath, source: io::Error) -> object_store::Error {
    let path = path.display().to_string();
    match source.kind() {
        io::ErrorKind::NotFound => object_store::Error::NotFound {
            path,
            source: source.into(),
        },
        io::ErrorKind::AlreadyExists => object_store::Error::AlreadyExists {
            path,
            source: source.into(),
        },
        io::ErrorKind::PermissionDenied => object_store::Error::PermissionDenied {
            path,
            source: source.into(),
        },
        _ => object_store::Error::Generic {
            store: NAME,
            source: io::Error::new(source.kind(), format!("{path}: {source}")).into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;

    use super::*;

    fn create() -> PutOptions {
        PutMode::Create.into()
    }

    #[tokio::test]
    async fn ranges_are_those_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = DurableLocal::open(folder.path()).unwrap();
        let path = Path::from("a/b");
        store.put(&path, "0123456789".into()).await.unwrap();
        let read = store.get_ranges(&path, &[7..10, 0..0, 2..3]).await.unwrap();
        assert_eq!(read, ["789", "", "2"]);
        for wrong in [8..11, 0..u64::MAX, u64::MAX - 1..u64::MAX] {
            assert!(store.get_ranges(&path, &[wrong]).await.is_err());
        }
        let missing = store
            .get_ranges(&Path::from("a/c"), std::slice::from_ref(&(0..1)))
            .await;
        assert!(
            matches!(missing, Err(object_store::Error::NotFound { .. })),
            "{missing:?}"
        );
    }

    #[tokio::test]
    async fn put_object_is_readable_and_exclusive() {
        let folder = tempfile::tempdir().unwrap();
        let store = DurableLocal::open(folder.path()).unwrap();
        let path = Path::from("a/b/c.json");
        store.put_opts(&path, "one".into(), create()).await.unwrap();
        let refused = store.put_opts(&path, "two".into(), create()).await.unwrap_err();
        assert!(
            matches!(refused, object_store::Error::AlreadyExists { .. }),
            "{refused}"
        );
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "one");
        store.put(&path, "three".into()).await.unwrap();
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "three");
        let names: Vec<_> = fs::read_dir(folder.path().join("a/b"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["c.json"], "nothing unfinished is left");
    }

    #[tokio::test]
    async fn names_are_listed_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let store = DurableLocal::open(folder.path()).unwrap();
        let mut names: Vec<_> = (0..200_u64)
            .map(|n| format!("log/{:020}.json", n * 7_919 % 1_000))
            .collect();
        for name in &names {
            store.put(&Path::from(name.as_str()), "x".into()).await.unwrap();
        }
        names.sort_unstable();
        let listed = |found: Vec<ObjectMeta>| found.iter().map(|meta| meta.location.to_string()).collect::<Vec<_>>();
        let all = store.list(None).try_collect().await.unwrap();
        assert_eq!(listed(all), names);
        let offset = Path::from(names[50].as_str());
        let rest = store
            .list_with_offset(Some(&Path::from("log")), &offset)
            .try_collect()
            .await
            .unwrap();
        assert_eq!(listed(rest), names[51..]);
    }

    #[tokio::test]
    async fn multipart_upload_appears_on_completion() {
        let folder = tempfile::tempdir().unwrap();
        let store = DurableLocal::open(folder.path()).unwrap();
        let path = Path::from("x");
        let mut upload = store.put_multipart(&path).await.unwrap();
        let (first, second) = (upload.put_part("ab".into()), upload.put_part("cd".into()));
        second.await.unwrap();
        first.await.unwrap();
        assert!(store.head(&path).await.is_err());
        upload.complete().await.unwrap();
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "abcd");
    }

    #[tokio::test]
    async fn aborted_upload_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = DurableLocal::open(folder.path()).unwrap();
        let path = Path::from("x");
        for aborted in [true, false] {
            let mut upload = store.put_multipart(&path).await.unwrap();
            upload.put_part("ab".into()).await.unwrap();
            if aborted {
                upload.abort().await.unwrap();
                assert!(upload.complete().await.is_err());
            }
            drop(upload);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }

    #[tokio::test]
    async fn open_removes_unfinished_files() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join("x.parquet#4711000003");
        fs::write(&left, "half").unwrap();
        let store = DurableLocal::open(folder.path()).unwrap();
        assert!(!left.exists());
        let mut upload = store.put_multipart(&Path::from("y")).await.unwrap();
        DurableLocal::open(folder.path()).unwrap();
        upload.put_part("ab".into()).await.unwrap();
        upload.complete().await.unwrap();
        assert!(folder.path().join("y").exists());
    }
}
