"""A real HTTP server that answers like a chat endpoint, and misbehaves as a test asks."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[dict[str, Any], "Seen"], dict[str, Any]]


class Seen:
    """What the server was asked: bodies, keys, and how many calls were open at once."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.open = self.most_open = 0
        self.lock = threading.Lock()

    def count(self, text: str) -> int:
        """How often a prompt was asked."""
        return sum(body["messages"][-1]["content"] == text for body in self.bodies)


class Handler(BaseHTTPRequestHandler):
    """Answers as `answer` says and notes in `seen` what it was asked."""

    protocol_version = "HTTP/1.1"
    answer: Answer
    seen: Seen

    def do_GET(self) -> None:
        payload = json.dumps({"data": [{"id": "served"}]}).encode()
        self.send_response(200 if self.path == "/v1/models" else 404)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def do_POST(self) -> None:
        seen = self.seen
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with seen.lock:
            seen.bodies.append(body)
            seen.keys.append(self.headers.get("Authorization") or "")
            seen.open += 1
            seen.most_open = max(seen.most_open, seen.open)
        try:
            # A client may have given up on a slow answer.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.reply(type(self).answer(body, seen))
        finally:
            with seen.lock:
                seen.open -= 1

    def reply(self, do: dict[str, Any]) -> None:
        time.sleep(do.get("sleep", 0))
        status = do.get("status", 200)
        events = [{"model": "teacher", "choices": [{"delta": {"reasoning_content": do.get("reasoning", "")}}]}]
        events += [{"choices": [{"delta": {"content": part}}]} for part in do.get("content", "").splitlines(True)]
        events += [{"choices": [{"delta": {}, "finish_reason": do.get("finish", "stop")}]}]
        events += [{"choices": [], "usage": do.get("usage", {"prompt_tokens": 3, "completion_tokens": 5})}]
        data = "".join(f"data: {json.dumps(event)}\n\n" for event in events[: do.get("cut", len(events))])
        kind = "text/event-stream"
        if do.get("plain"):
            message = {"content": do.get("content", ""), "reasoning": do.get("reasoning", "")}
            choice = {"message": message, "finish_reason": "stop"}
            data, kind = json.dumps({"choices": [choice], "usage": {"completion_tokens": 5}}), "application/json"
        payload = do.get("raw", data.encode())
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(payload)))
        for name, value in do.get("headers", {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@contextlib.contextmanager
def chat_server(answer: Answer) -> Iterator[tuple[str, Seen]]:
    """(base_url, what it saw) of a running server. `answer(body, seen)` gives what to do: `content`, `reasoning`,
    `status`, `headers`, `sleep` seconds, `cut` after so many events, `plain` (no stream), `raw` bytes, `usage`."""
    seen = Seen()
    handler = type("AnswersThis", (Handler,), {"answer": staticmethod(answer), "seen": seen})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", seen
    finally:
        server.shutdown()
        server.server_close()
