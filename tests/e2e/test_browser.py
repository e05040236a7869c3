"""A page of another origin in a real browser: what it sends by `sendBeacon` and `fetch` arrives."""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from events import new_site
from server import Server

# Debian's, and what others call it.
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# Until the page is dumped, in milliseconds of its own clock, which stands still while a request is under way.
BROWSER_MILLIS = 5_000

# `sendBeacon` and the first `fetch` send with credentials, which a browser does only if the reply allows the origin.
PAGE = """<!doctype html><title>sent nothing</title><script>
const [url, site] = %s;
const event = client => JSON.stringify({tracking_id: site, client_id: client, event_type: "pageview"});
const headers = {"content-type": "application/json"};
(async () => {
  const queued = navigator.sendBeacon(url, new Blob([event("beacon")], {type: "application/json"}));
  const sent = await fetch(url, {method: "POST", credentials: "include", headers, body: event("fetch")});
  const refused = await fetch(url, {method: "POST", credentials: "include", headers, body: "{}"});
  document.title = `${queued} ${sent.status} ${refused.status}`;
})();
</script>"""


@pytest.fixture
def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert found, "there is no Chromium on this machine: apt-get install chromium"
    return found


@pytest.fixture
def page() -> Iterator[ThreadingHTTPServer]:
    """A web server that serves `page.html` on every path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.server.html.encode()
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_beacon_with_json_arrives(shared_server: Server, page: ThreadingHTTPServer, browser: str, tmp_path: Path):
    site = shared_server.create_site(new_site())
    page.html = PAGE % json.dumps([f"{shared_server.http}/api/v1/beacon", site])
    quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--no-proxy-server", *quiet]
    address = f"http://127.0.0.1:{page.server_port}/"
    command = [browser, *flags, f"--virtual-time-budget={BROWSER_MILLIS}", "--dump-dom", address]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "<title>true 204 400</title>" in dom
    shared_server.wait_for_events(site, 2)
    clients = shared_server.query(f"SELECT client_id FROM events WHERE tracking_id = '{site}' ORDER BY 1").to_pylist()
    assert [row["client_id"] for row in clients] == ["beacon", "fetch"]
