//! File descriptors: how many the system gives us, and how many of them connections may take.
//!
//! What connections leave is for the log, the lake, the catalog and queries: were clients able to take the last one,
//! an event that was accepted could not be written any more.

/// Kept for everything that is no connection.
const RESERVED: usize = 512;

/// Connections at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shares {
    pub(super) http: usize,
    /// Clients that come when there is no room, to be told so.
    pub(super) turned_away: usize,
    pub(super) flight: usize,
}

impl Shares {
    /// Of so many descriptors.
    pub(super) fn of(limit: usize) -> Self {
        let connections = limit - RESERVED.min(limit / 2);
        let eighth = connections / 8;
        Self {
            http: (connections - 2 * eighth).min(8_192),
            turned_away: eighth.clamp(1, 256),
            flight: eighth.clamp(1, 1_024),
        }
    }
}

/// Takes as many as the system allows, and says how many there are. The usual limit of 1,024 is there for old programs
/// and gives way to the one that an administrator has set.
#[cfg(unix)]
pub(super) fn take_all() -> usize {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    /// More would be of no use.
    const ENOUGH: u64 = 16_384;

    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return 1_024;
    };
    let wanted = ENOUGH.min(hard).max(soft);
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) {
        Ok(()) => wanted,
        Err(error) => {
            tracing::warn!(%error, soft, "the limit of open files could not be raised");
            soft
        }
    };
    usize::try_from(limit).unwrap_or(usize::MAX)
}

#[cfg(not(unix))]
pub(super) fn take_all() -> usize {
    16_384
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_enough_for_files() {
        for limit in [64, 256, 1_024, 4_096, 16_384, usize::MAX] {
            let shares = Shares::of(limit);
            let connections = shares.http + shares.turned_away + shares.flight;
            assert!(limit - connections >= RESERVED.min(limit / 2), "{limit}: {shares:?}");
            assert!(shares.http >= 16, "{limit}: {shares:?}");
        }
    }

    #[test]
    fn there_are_never_more_than_memory_is_meant_for() {
        let shares = Shares::of(usize::MAX);
        assert_eq!((shares.http, shares.turned_away, shares.flight), (8_192, 256, 1_024));
    }
}
