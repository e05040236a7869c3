//! The files of an import before they are committed: written to the store, and in no version of the table.

use footfall_lake::{
    DataFile, EncodedFile, LakeError, NewFile, Origin, SortedPieces, blocking, encode_pieces, file_name,
};
use footfall_model::clock::Micros;
use futures::future::join_all;
use object_store::ObjectStoreExt;
use tokio::task::JoinHandle;

use super::day_buffers::Day;
use super::reading::Reading;
use super::{ImportError, ImportParts, Report};

/// Files that are written and not committed.
#[derive(Debug)]
pub(super) struct Staged {
    /// Names the files, and the commit.
    pub id: u128,
    /// When the import began.
    pub at: Micros,
    pub files: Vec<DataFile>,
    /// Files that were named so far.
    named: usize,
}

impl Staged {
    pub(super) fn new(id: u128, at: Micros) -> Self {
        Self {
            id,
            at,
            files: Vec::new(),
            named: 0,
        }
    }

    /// A name that no file has.
    pub(super) fn next_name(&mut self) -> String {
        self.named += 1;
        file_name(self.id, self.named - 1)
    }

    /// Reads, encodes and stores, all three at the same time.
    pub(super) async fn write(&mut self, parts: &ImportParts, reading: Reading) -> Result<Report, ImportError> {
        let now = self.at;
        let mut encoded = None;
        let mut reading = read_on(reading);
        loop {
            let (read, day) = reading.await??;
            let Some(day) = day else {
                self.store(parts, encoded).await?;
                return Ok(read.report);
            };
            reading = read_on(read);
            let name = self.next_name();
            let new = NewFile::new(parts.table.spec(), day.event_date, name, Origin::Import, now);
            let encoding = blocking(move || encode(day, &new));
            let (stored, next) = futures::join!(self.store(parts, encoded), encoding);
            stored?;
            encoded = Some(next??);
        }
    }

    async fn store(&mut self, parts: &ImportParts, file: Option<EncodedFile>) -> Result<(), LakeError> {
        if let Some(file) = file {
            self.files.push(file.put(parts.table.store()).await?);
        }
        Ok(())
    }

    /// Removes the files, which no version of the table has. What can't be removed stays without harm.
    pub(super) async fn discard(&mut self, parts: &ImportParts) {
        let store = parts.table.store();
        let removed = join_all(self.files.iter().map(|file| store.delete(&file.path))).await;
        for (file, removed) in self.files.iter().zip(removed) {
            if let Err(error) = removed {
                tracing::warn!(path = %file.path, %error, "a file that no table has was not removed");
            }
        }
        self.files.clear();
    }
}

fn read_on(mut reading: Reading) -> JoinHandle<Result<(Reading, Option<Day>), ImportError>> {
    tokio::task::spawn_blocking(move || {
        let day = reading.next()?;
        Ok((reading, day))
    })
}

fn encode(day: Day, new: &NewFile) -> Result<EncodedFile, LakeError> {
    encode_pieces(new, &SortedPieces::new(day.pieces, &day.texts)?)
}
