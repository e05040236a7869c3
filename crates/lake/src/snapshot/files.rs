//! The files of a version in chunks. A version that adds a file copies one chunk's pointers and shares all others with
//! the version before it, together with what was computed for them.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

use footfall_model::table::TableSpec;
use object_store::path::Path;

use super::DataFile;
use crate::ChunkStatistics;

/// Files of a chunk, at most.
const CHUNK_FILES: usize = 1_024;

/// Some files of a version. Never changes.
#[derive(Debug)]
pub struct FileChunk {
    spec: Arc<TableSpec>,
    files: Vec<Arc<DataFile>>,
    statistics: OnceLock<ChunkStatistics>,
    /// Hashes of the paths, in order, with the index of the file.
    index: OnceLock<Vec<(u64, u32)>>,
}

impl FileChunk {
    fn new(spec: &Arc<TableSpec>, files: Vec<Arc<DataFile>>) -> Arc<Self> {
        Arc::new(Self {
            spec: Arc::clone(spec),
            files,
            statistics: OnceLock::new(),
            index: OnceLock::new(),
        })
    }

    pub fn files(&self) -> &[Arc<DataFile>] {
        &self.files
    }

    /// Statistics of the files as arrays; made once.
    pub fn statistics(&self) -> &ChunkStatistics {
        self.statistics
            .get_or_init(|| ChunkStatistics::new(&self.spec, &self.files))
    }

    fn position(&self, hash: u64, path: &Path) -> Option<usize> {
        let index = self.index.get_or_init(|| {
            let mut index: Vec<_> = self
                .files
                .iter()
                .zip(0..)
                .map(|(file, at)| (hash_of(&file.path), at))
                .collect();
            index.sort_unstable();
            index
        });
        let first = index.partition_point(|(known, _)| *known < hash);
        let same = index[first..].iter().take_while(|(known, _)| *known == hash);
        let mut found = same.map(|(_, at)| *at as usize);
        found.find(|at| self.files[*at].path == *path)
    }
}

fn hash_of(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

/// The files of a version.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    spec: Arc<TableSpec>,
    /// No chunk is empty.
    chunks: Arc<[Arc<FileChunk>]>,
}

impl Files {
    pub(crate) fn new(spec: Arc<TableSpec>, files: impl IntoIterator<Item = Arc<DataFile>>) -> Self {
        let mut files = files.into_iter();
        let mut chunks = Vec::new();
        loop {
            let some: Vec<_> = files.by_ref().take(CHUNK_FILES).collect();
            if some.is_empty() {
                break;
            }
            chunks.push(FileChunk::new(&spec, some));
        }
        Self {
            spec,
            chunks: chunks.into(),
        }
    }

    pub(crate) fn spec(&self) -> &Arc<TableSpec> {
        &self.spec
    }

    pub(crate) fn chunks(&self) -> &[Arc<FileChunk>] {
        &self.chunks
    }

    pub(crate) fn get(&self, path: &Path) -> Option<&Arc<DataFile>> {
        let (chunk, at) = self.position(path)?;
        Some(&self.chunks[chunk].files[at])
    }

    fn position(&self, path: &Path) -> Option<(usize, usize)> {
        let hash = hash_of(path);
        let chunks = self.chunks.iter().enumerate();
        chunks
            .rev()
            .find_map(|(nth, chunk)| Some((nth, chunk.position(hash, path)?)))
    }

    /// These files without `removed` and with `added`; an added file replaces one with the same path.
    pub(crate) fn with(&self, removed: &[Path], added: Vec<DataFile>) -> Self {
        // If a path is added twice, the last one wins.
        let mut last: HashMap<&Path, usize> = HashMap::new();
        for (nth, file) in added.iter().enumerate() {
            last.insert(&file.path, nth);
        }
        let mut keep = vec![false; added.len()];
        last.values().for_each(|nth| keep[*nth] = true);
        let mut gone: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for path in removed.iter().chain(added.iter().map(|file| &file.path)) {
            if let Some((chunk, at)) = self.position(path) {
                gone.entry(chunk).or_default().push(at);
            }
        }
        let mut chunks = self.chunks.to_vec();
        for (chunk, gone) in gone {
            let files = chunks[chunk].files.iter().enumerate();
            let left = files
                .filter(|(at, _)| !gone.contains(at))
                .map(|(_, file)| Arc::clone(file));
            chunks[chunk] = FileChunk::new(&self.spec, left.collect());
        }
        let added = added.into_iter().zip(keep).filter(|(_, keep)| *keep);
        append(&mut chunks, &self.spec, added.map(|(file, _)| Arc::new(file)));
        Self {
            spec: Arc::clone(&self.spec),
            chunks: compact(&self.spec, chunks).into(),
        }
    }
}

/// Fills the last chunk, then further ones.
fn append(chunks: &mut Vec<Arc<FileChunk>>, spec: &Arc<TableSpec>, added: impl Iterator<Item = Arc<DataFile>>) {
    let mut added = added.peekable();
    while added.peek().is_some() {
        let mut files = match chunks.last() {
            Some(last) if last.files.len() < CHUNK_FILES => last.files.clone(),
            _ => Vec::new(),
        };
        if !files.is_empty() {
            chunks.pop();
        }
        let room = CHUNK_FILES - files.len();
        files.extend(added.by_ref().take(room));
        chunks.push(FileChunk::new(spec, files));
    }
}

/// Merges neighbours that fit into half a chunk, so that removals don't leave many small chunks.
fn compact(spec: &Arc<TableSpec>, chunks: Vec<Arc<FileChunk>>) -> Vec<Arc<FileChunk>> {
    let mut compacted: Vec<Arc<FileChunk>> = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        match compacted.last_mut() {
            _ if chunk.files.is_empty() => {}
            Some(last) if last.files.len() + chunk.files.len() <= CHUNK_FILES / 2 => {
                let both = last.files.iter().chain(&chunk.files).cloned();
                *last = FileChunk::new(spec, both.collect());
            }
            _ => compacted.push(chunk),
        }
    }
    compacted
}

#[cfg(test)]
mod tests {
    use footfall_model::table;

    use super::super::{Snapshot, test_file};
    use super::*;

    fn snapshot(files: usize) -> Snapshot {
        let files = (0..files).map(|nth| test_file(&format!("{nth:06}")));
        Snapshot::new(Arc::clone(table::events()), 1, files)
    }

    fn names(snapshot: &Snapshot) -> Vec<String> {
        let names = snapshot.files().filter_map(|file| file.path.filename());
        names.map(|name| name.trim_end_matches(".parquet").to_owned()).collect()
    }

    #[test]
    fn append_copies_only_the_last_chunk() {
        let before = snapshot(3 * CHUNK_FILES + 5);
        let after = before.next(2, &[], vec![test_file("new")]);
        let shared = before
            .chunks()
            .iter()
            .zip(after.chunks())
            .filter(|(a, b)| Arc::ptr_eq(a, b));
        assert_eq!(
            (shared.count(), after.chunks().len(), after.len()),
            (3, 4, before.len() + 1)
        );
        assert!(before.file(&test_file("new").path).is_none() && after.file(&test_file("new").path).is_some());
    }

    #[test]
    fn full_chunk_starts_new_one() {
        let many = (0..2 * CHUNK_FILES)
            .map(|nth| test_file(&format!("more-{nth}")))
            .collect();
        let after = snapshot(CHUNK_FILES - 1).next(2, &[], many);
        let sizes: Vec<_> = after.chunks().iter().map(|chunk| chunk.files().len()).collect();
        assert_eq!(sizes, [CHUNK_FILES, CHUNK_FILES, CHUNK_FILES - 1]);
    }

    #[test]
    fn removal_rebuilds_only_its_chunk() {
        let before = snapshot(3 * CHUNK_FILES);
        let path = before.chunks()[1].files()[7].path.clone();
        let after = before.next(2, &[path.clone(), Path::from("unknown")], Vec::new());
        assert_eq!(after.len(), before.len() - 1);
        assert!(after.file(&path).is_none());
        let shared: Vec<_> = before
            .chunks()
            .iter()
            .zip(after.chunks())
            .map(|(a, b)| Arc::ptr_eq(a, b))
            .collect();
        assert_eq!(shared, [true, false, true]);
    }

    #[test]
    fn path_added_again_replaces_file() {
        let again = DataFile {
            size: 7,
            ..test_file("000003")
        };
        let twice = DataFile {
            size: 8,
            ..again.clone()
        };
        let after = snapshot(5).next(2, &[], vec![again, test_file("000009"), twice]);
        assert_eq!(
            names(&after),
            ["000000", "000001", "000002", "000004", "000009", "000003"]
        );
        assert_eq!(after.file(&test_file("000003").path).unwrap().size, 8);
    }

    #[test]
    fn removed_and_added_file_is_live() {
        let path = test_file("000001").path;
        let after = snapshot(3).next(
            2,
            std::slice::from_ref(&path),
            vec![DataFile {
                size: 7,
                ..test_file("000001")
            }],
        );
        assert_eq!((after.len(), after.file(&path).unwrap().size), (3, 7));
    }

    #[test]
    fn added_files_are_found_in_copied_chunks() {
        let before = snapshot(2 * CHUNK_FILES + 3);
        let removed = before.chunks()[0].files()[5].path.clone();
        let after = before.next(2, &[removed], vec![test_file("new"), test_file("newer")]);
        let added: Vec<_> = after.added_since(&before).map(|file| file.path.clone()).collect();
        assert_eq!(added, [test_file("new").path, test_file("newer").path]);
        assert_eq!(after.added_since(&after).count(), 0);
    }

    #[test]
    fn many_removals_leave_no_small_chunks() {
        let mut snapshot = snapshot(8 * CHUNK_FILES);
        let paths: Vec<_> = snapshot.files().map(|file| file.path.clone()).collect();
        let some = |part: usize| {
            paths
                .iter()
                .enumerate()
                .filter(move |(nth, _)| nth % 16 != 0 && nth % 3 == part)
        };
        for part in 0..3 {
            let gone: Vec<_> = some(part).map(|(_, path)| path.clone()).collect();
            snapshot = snapshot.next(2, &gone, Vec::new());
        }
        assert_eq!(snapshot.len(), 8 * CHUNK_FILES / 16);
        assert!(snapshot.chunks().len() <= 2, "{}", snapshot.chunks().len());
        let kept = paths.iter().step_by(16);
        assert!(kept.clone().all(|path| snapshot.file(path).is_some()));
        assert_eq!(names(&snapshot).len(), kept.len());
    }
}
