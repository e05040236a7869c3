//! A server that reads requests and answers 204 to each, doing nothing else.

use std::io::{self, Write};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const REPLY: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

/// Serves until the process is ended; prints where.
pub(crate) fn run(listen: SocketAddr) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await?;
        writeln!(io::stdout(), "ready http=http://{}", listener.local_addr()?)?;
        serve(listener, |_| REPLY).await;
        Ok(())
    })
}

/// Serves for ever; `answer` is given the number of the request on its connection, from 0.
pub(crate) async fn serve(listener: TcpListener, answer: fn(u64) -> &'static [u8]) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = converse(stream, answer).await;
            });
        }
    }
}

async fn converse(mut stream: TcpStream, answer: fn(u64) -> &'static [u8]) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut received = Vec::with_capacity(64 << 10);
    let mut number = 0;
    loop {
        while let Some(end) = request_end(&received)
            && received.len() >= end
        {
            received.drain(..end);
            stream.write_all(answer(number)).await?;
            number += 1;
        }
        if stream.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    }
}

/// Bytes of the first request, if its head is whole.
fn request_end(received: &[u8]) -> Option<usize> {
    const END: &[u8] = b"\r\n\r\n";
    let head = received.windows(END.len()).position(|window| window == END)?;
    let text = std::str::from_utf8(received.get(..head)?).ok()?;
    let length = text
        .split("\r\n")
        .find_map(|line| line.strip_prefix("Content-Length: "))?;
    Some(head + END.len() + length.parse::<usize>().ok()?)
}
