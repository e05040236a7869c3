//! Reads the head of an HTTP/1.1 reply. Only what this generator needs of it. Pure.

/// What the head of a reply says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Bytes of the head itself.
    pub(crate) bytes: usize,
    /// Bytes of the body.
    pub(crate) body: usize,
    /// The server won't take another request on this connection.
    pub(crate) close: bool,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a reply of HTTP/1.1 with a Content-Length: {0:?}")]
pub(crate) struct Malformed(String);

/// `None`: the head isn't whole yet.
pub(crate) fn parse(received: &[u8]) -> Result<Option<Head>, Malformed> {
    const END: &[u8] = b"\r\n\r\n";
    let Some(end) = received.windows(END.len()).position(|window| window == END) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&received[..end]);
    let malformed = || Malformed(text.chars().take(200).collect());
    let mut lines = text.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 "))
        .and_then(|rest| rest.get(..3))
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(malformed)?;
    let mut head = Head {
        status,
        bytes: end + END.len(),
        body: 0,
        close: false,
    };
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(malformed)?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            head.body = value.parse().map_err(|_| malformed())?;
        } else if name.eq_ignore_ascii_case("connection") {
            head.close = value.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(malformed());
        }
    }
    Ok(Some(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_without_body() {
        let text = b"HTTP/1.1 204 No Content\r\ndate: Mon, 02 Feb 2026 10:30:00 GMT\r\n\r\n";
        let head = Head {
            status: 204,
            bytes: text.len(),
            body: 0,
            close: false,
        };
        assert_eq!(parse(text), Ok(Some(head)));
        assert_eq!(parse(&text[..text.len() - 1]), Ok(None), "not whole yet");
    }

    #[test]
    fn refusal_closes_connection() {
        let head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 12\r\nConnection: close\r\n\r\n";
        let found = parse(&[head.as_slice(), b"{\"error\""].concat()).unwrap().unwrap();
        assert_eq!(
            (found.status, found.bytes, found.body, found.close),
            (503, head.len(), 12, true)
        );
    }

    #[test]
    fn malformed_reply_is_an_error() {
        for text in [
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/1.1 x04\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
