//! Opens the file: readable by its owner only, write-ahead journal, schema up to date. Several processes may do so at
//! the same moment on a file that does not exist yet.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, SqliteConnection, SqlitePool};

use super::BUSY_TIMEOUT;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// Each connection is a thread and up to 2 MB of page cache. Look-ups take microseconds, and the directory caches them.
const CONNECTIONS: u32 = 4;

const WAL_RETRY: Duration = Duration::from_millis(20);

/// SQLite's primary result code for "another connection holds the lock".
const SQLITE_BUSY: i32 = 5;

/// Why the file could not be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("cannot create {}: {source}; does the folder exist, and may this user write to it?", path.display())]
    Create { path: PathBuf, source: io::Error },
    #[error("cannot open {}: {source}", path.display())]
    Open { path: PathBuf, source: sqlx::Error },
    #[error("{} was written by a newer Footfall (migration {version}); run that version or a later one", path.display())]
    Newer { path: PathBuf, version: i64 },
    #[error("cannot bring the schema of {} up to date: {source}", path.display())]
    Migrate { path: PathBuf, source: MigrateError },
}

pub(super) async fn open(path: &Path) -> Result<SqlitePool, OpenError> {
    create_private(path).map_err(|source| OpenError::Create {
        path: path.to_owned(),
        source,
    })?;
    let failed = |source| OpenError::Open {
        path: path.to_owned(),
        source,
    };
    let options = SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        // A site or token that was reported as created must survive a power failure; writes are too rare for the fsync
        // to matter.
        .synchronous(SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(BUSY_TIMEOUT)
        // Unlike a network connection, a file does not go stale.
        .max_lifetime(None)
        // When the disk is full, SQLite rolls back by itself; sqlx does not notice and could never begin a transaction
        // on this connection again. The pool's ping before this has waited for rollbacks in progress.
        .before_acquire(|connection, _| {
            let usable = !connection.is_in_transaction();
            Box::pin(async move { Ok(usable) })
        })
        .connect_with(options)
        .await
        .map_err(failed)?;
    let mut connection = pool.acquire().await.map_err(failed)?;
    enter_wal(&mut connection).await.map_err(failed)?;
    migrate(&mut connection).await.map_err(|source| match source {
        MigrateError::VersionMissing(version) => OpenError::Newer {
            path: path.to_owned(),
            version,
        },
        source => OpenError::Migrate {
            path: path.to_owned(),
            source,
        },
    })?;
    drop(connection);
    Ok(pool)
}

/// SQLite would create the file readable by everybody; its journal files inherit the file's mode.
///
/// An existing file is not opened here: closing any descriptor of a file drops all locks of this process on it,
/// including SQLite's.
fn create_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// The change is permanent, so only the first opening makes it. SQLite's busy timeout does not cover it, hence the
/// loop.
async fn enter_wal(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let mut waited = Duration::ZERO;
    loop {
        let mode = sqlx::query_scalar::<_, String>("PRAGMA journal_mode = WAL")
            .fetch_one(&mut *connection)
            .await;
        match mode {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
            Ok(mode) => {
                let problem =
                    format!("its journal mode stays {mode:?}; put the file on a local disk, which supports WAL");
                return Err(sqlx::Error::Protocol(problem));
            }
            Err(error) if is_busy(&error) && waited < BUSY_TIMEOUT => {
                tokio::time::sleep(WAL_RETRY).await;
                waited += WAL_RETRY;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Under the write lock, so that one of several processes migrates and the others find the schema up to date.
async fn migrate(connection: &mut SqliteConnection) -> Result<(), MigrateError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    // Not `run`: its future is not `Send` ("implementation of `Acquire` is not general enough").
    MIGRATIONS.run_direct(None, &mut *transaction, false).await?;
    transaction.commit().await?;
    Ok(())
}

/// SQLite returns extended codes; the lowest byte is the primary one.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .and_then(|code| code.parse::<i32>().ok());
    code.is_some_and(|code| code & 0xff == SQLITE_BUSY)
}
