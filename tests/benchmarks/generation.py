"""2,000 answers from an engine on loopback, sixteen at a time beside one at a time: ``python -m tests.benchmarks.generation``.

The engine is a process of its own that decodes as real ones do: every step writes one token for each of its requests under way (at most
16), whatever their number, and takes `STEP_S`. It computes nothing else, so that client, HTTP and the synced journal are what is
measured. Ends with 1 where sixteen at a time are not `TARGET` times as fast.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from kdgov.declarations.release_parts.teacher_writing import TeacherText
from kdgov.distillation.data.examples import Example
from kdgov.distillation.generation.asking import ask_endpoint, who_is_asked
from kdgov.distillation.generation.journal import Journal
from kdgov.distillation.generation.prompts import asks_of
from kdgov.progress import silent

STEP_S, TOKENS, SLOTS, TARGET = 0.002, 20, 16, 4.0
_ANSWER = (
    b'{"model": "engine", "choices": [{"message": {"role": "assistant", "content": "an answer"}, "finish_reason": "stop"}], '
    b'"usage": {"prompt_tokens": 12, "completion_tokens": 20}}'
)


class Engine:
    """Continuous batching: a clock of decoding steps that every request under way shares."""

    def __init__(self) -> None:
        self._slots = threading.Semaphore(SLOTS)
        self._step = threading.Condition()
        self._count = 0
        threading.Thread(target=self._decode, daemon=True).start()

    def _decode(self) -> None:
        while True:
            time.sleep(STEP_S)
            with self._step:
                self._count += 1
                self._step.notify_all()

    def write(self) -> None:
        """Return when a request's tokens are written."""
        with self._slots, self._step:
            last = self._count + TOKENS
            self._step.wait_for(lambda: self._count >= last)


def serve(port: Any) -> None:
    """Run the engine behind HTTP and tell its port."""
    engine = Engine()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            engine.write()
            self.send_response(200)
            self.send_header("Content-Length", str(len(_ANSWER)))
            self.end_headers()
            self.wfile.write(_ANSWER)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        port.put(server.server_port)
        server.serve_forever()


def seconds(port: int, concurrency: int, count: int) -> float:
    """Wall time of so many answers, journal and all."""
    endpoint = {"base_url": f"http://127.0.0.1:{port}/v1", "model": "engine", "terms": "none", "concurrency": concurrency}
    term = TeacherText.model_validate({"kind": "teacher_text", "endpoint": endpoint})
    asks = asks_of(term, [Example(item_id=f"q{n}", prompt=f"question {n}") for n in range(count)], seed=0)
    assert term.endpoint is not None
    with tempfile.TemporaryDirectory() as folder, Journal.of(Path(folder), who_is_asked(term.endpoint)) as journal:
        began = time.perf_counter()
        ask_endpoint(term.endpoint, asks, journal, label="asking", progress=silent)
        return time.perf_counter() - began


def main() -> int:
    """Measure and print; 1 where the target is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--answers", type=int, default=2000)
    count = parser.parse_args().answers
    port: Any = multiprocessing.Queue()
    engine = multiprocessing.Process(target=serve, args=(port,), daemon=True)
    engine.start()
    at = port.get()
    seconds(at, SLOTS, 50)
    many, one = seconds(at, SLOTS, count), seconds(at, 1, count)
    engine.terminate()
    sys.stdout.write(
        f"{count:,} answers: one at a time {one:.1f} s, {SLOTS} at a time {many:.1f} s, ratio {one / many:.1f} (target {TARGET:g})\n"
    )
    return 0 if one / many >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
