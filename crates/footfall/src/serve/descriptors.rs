//! File descriptors: how many the system allows, and how many of them connections may take.
//!
//! The rest is for the WAL, the lake, the catalog and queries: if clients could take the last one,
//! the server could no longer write an event that it had accepted.

/// Reserved for everything but connections.
const RESERVED: usize = 512;

/// Connections at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shares {
    pub(super) http: usize,
    /// Extra connections, which only send 503.
    pub(super) turned_away: usize,
    pub(super) flight: usize,
}

impl Shares {
    /// The split of this many descriptors.
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

/// Raises the limit as far as the system allows, and returns it. The usual soft limit of 1,024 exists for old programs;
/// the hard limit is the administrator's.
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
    fn connections_leave_descriptors_for_files() {
        for limit in [64, 256, 1_024, 4_096, 16_384, usize::MAX] {
            let shares = Shares::of(limit);
            let connections = shares.http + shares.turned_away + shares.flight;
            assert!(limit - connections >= RESERVED.min(limit / 2), "{limit}: {shares:?}");
            assert!(shares.http >= 16, "{limit}: {shares:?}");
        }
    }

    #[test]
    fn connections_are_capped_by_memory() {
        let shares = Shares::of(usize::MAX);
        assert_eq!((shares.http, shares.turned_away, shares.flight), (8_192, 256, 1_024));
    }
}
