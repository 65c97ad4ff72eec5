"""A small HTTP server that takes STOW-RS and QIDO-RS requests and answers as a test wants it to."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

JSON = "application/dicom+json"


class WebArchive:
    """answer(uids) -> (status, body) to a STOW-RS request; held: the files that came, by uid; requests: (method, path,
    headers). listed(uid): whether QIDO-RS lists it."""

    def __init__(self, answer=None):
        self.answer = answer or (lambda uids: (200, stored(uids)))
        self.listed = lambda uid: uid in self.held
        self.held, self.requests, self.bodies = {}, [], []
        self.kind = JSON
        self.quit = threading.Event()


def stored(uids, failed=(), warned=()):
    """A Store Instances Response in JSON; failed, warned: uid -> reason."""
    failed, warned = dict(failed), dict(warned)
    taken = [make_item(uid, "00081196", warned.get(uid)) for uid in uids if uid not in failed]
    lost = [make_item(uid, "00081197", reason) for uid, reason in failed.items()]
    answer = {"00081199": taken, "00081198": lost}
    return json.dumps({tag: {"vr": "SQ", "Value": items} for tag, items in answer.items() if items}).encode()


def make_item(uid, tag, reason):
    item = {"00081150": {"vr": "UI", "Value": ["1.2"]}, "00081155": {"vr": "UI", "Value": [uid]}}
    return item | ({tag: {"vr": "US", "Value": [reason]}} if reason is not None else {})


@contextmanager
def open_web(archive, context=None):
    """Yields its root; context: for TLS."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_POST(self):
            archive.requests.append((self.command, self.path, dict(self.headers)))
            body = self.rfile.read(int(self.headers["Content-Length"]))
            archive.bodies.append(body)
            uids = [uid for uid, _ in read_parts(body, self.headers["Content-Type"])]
            status, text = archive.answer(uids)
            if status == 200:
                archive.held |= dict(read_parts(body, self.headers["Content-Type"]))
            self.say(status, text)

        def do_GET(self):
            archive.requests.append((self.command, self.path, dict(self.headers)))
            uid = self.path.rsplit("=", 1)[-1]
            found = [{"00080018": {"vr": "UI", "Value": [uid]}}] if archive.listed(uid) else []
            self.say(200, json.dumps(found).encode())

        def say(self, status, text):
            self.send_response(status)
            self.send_header("Content-Type", archive.kind)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_address[1]}/dicom-web"
    finally:
        archive.quit.set()
        server.shutdown()
        server.server_close()


def read_parts(body, content_type):
    """(SOP Instance UID, Part 10 bytes) of each part."""
    from io import BytesIO

    from pydicom import dcmread

    boundary = content_type.split("boundary=")[1].encode()
    parts = []
    for piece in body.split(b"--" + boundary)[1:-1]:
        head, _, data = piece.partition(b"\r\n\r\n")
        assert head == b"\r\nContent-Type: application/dicom"
        assert data.endswith(b"\r\n")
        parts.append((str(dcmread(BytesIO(data[:-2]), specific_tags=["SOPInstanceUID"]).SOPInstanceUID), data[:-2]))
    return parts
