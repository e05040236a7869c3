//! Flow control windows: how many bytes of client data connections may buffer before the server reads them. Pure.

/// HTTP/2's initial window; a server can't ask for less.
const SMALLEST_WINDOW: usize = 65_535;

/// A larger window gains no throughput.
const LARGEST_WINDOW: usize = 1 << 20;

/// Connections and their flow control windows. A client may send a window's bytes before the server reads any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Windows {
    pub(super) connections: usize,
    /// Of all streams of a connection together.
    pub(super) connection: u32,
    /// Of one stream.
    pub(super) stream: u32,
}

impl Windows {
    /// As many of `connections` as fit in `receive_bytes`, each with as large a window as fits.
    pub(super) fn of(connections: usize, receive_bytes: usize) -> Self {
        let connections = connections.min(receive_bytes / SMALLEST_WINDOW).max(1);
        let connection = (receive_bytes / connections).clamp(SMALLEST_WINDOW, LARGEST_WINDOW);
        // A stream that is not read for a while leaves window to the connection's other streams.
        let stream = (connection / 4).max(SMALLEST_WINDOW);
        let narrow = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        Self {
            connections,
            connection: narrow(connection),
            stream: narrow(stream),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_windows_fit_in_receive_bytes() {
        for connections in [1, 8, 100, 1_024] {
            for receive_bytes in [1 << 20, 16 << 20, 64 << 20, 1 << 30] {
                let windows = Windows::of(connections, receive_bytes);
                assert!(
                    windows.connections * windows.connection as usize <= receive_bytes,
                    "{windows:?}"
                );
                assert!(windows.connections <= connections, "{windows:?}");
                assert!(windows.stream <= windows.connection, "{windows:?}");
                assert!(windows.connection as usize >= SMALLEST_WINDOW, "{windows:?}");
            }
        }
    }

    #[test]
    fn few_connections_have_larger_windows() {
        let few = Windows::of(64, 64 << 20);
        assert_eq!((few.connection, few.stream), (1 << 20, 1 << 18));
        let many = Windows::of(1_024, 64 << 20);
        assert_eq!(
            (many.connections, many.connection, many.stream),
            (1_024, 65_536, 65_535)
        );
    }
}
