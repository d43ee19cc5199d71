"""A checkpoint served on this machine as an OpenAI-compatible endpoint: for trying a release with an endpoint without a network.

Greedy answers only, through the same decoder that evaluation uses, so that a model asked through its address answers as it does in
process. Requests that wait are answered together.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from kdgov.checkpoints.identity import model_identity
from kdgov.errors import InputError, KdgovError
from kdgov.evaluation.backends.hugging_face.generation import Prompt, write_answers
from kdgov.evaluation.backends.hugging_face.hf_model import HuggingFaceModel, load_asked_model
from kdgov.evaluation.plan.request import chat_context
from kdgov.safe_parse import json_value

_MOST_BODY_BYTES = 4 << 20
_MOST_AT_ONCE = 16
_DEFAULT_TOKENS = 64


@dataclass(slots=True)
class _Waiting:
    ids: list[int]
    settings: Mapping[str, Any]
    done: threading.Event = field(default_factory=threading.Event)
    text: str | None = None
    fault: str = ""


class _Writer(threading.Thread):
    """The one thread that runs the model; it answers together what waits together."""

    def __init__(self, asked: HuggingFaceModel) -> None:
        super().__init__(daemon=True)
        self.asked = asked
        self.waiting: queue.Queue[_Waiting | None] = queue.Queue()

    def run(self) -> None:
        while (first := self.waiting.get()) is not None:
            batch = [first]
            while len(batch) < _MOST_AT_ONCE:
                try:
                    following = self.waiting.get(timeout=0.002)
                except queue.Empty:
                    break
                if following is None:
                    return
                batch.append(following)
            for settings in {json.dumps(one.settings, sort_keys=True) for one in batch}:
                self._write([one for one in batch if json.dumps(one.settings, sort_keys=True) == settings])

    def _write(self, batch: list[_Waiting]) -> None:
        prompts = [Prompt(index=n, ids=tuple(one.ids), settings=one.settings) for n, one in enumerate(batch)]
        try:
            for one, written in zip(batch, write_answers(self.asked, prompts), strict=True):
                one.text = written.text
        except KdgovError as error:
            for one in batch:
                one.fault = str(error)
        finally:
            for one in batch:
                one.done.set()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LocalEndpoint

    def do_GET(self) -> None:  # noqa: N802 - the name http.server calls
        if self.path.rstrip("/").endswith("/models"):
            self._send(200, {"object": "list", "data": [{"id": self.server.name, "object": "model"}]})
        else:
            self._refuse(404, "no such path")

    def do_POST(self) -> None:  # noqa: N802 - the name http.server calls
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= _MOST_BODY_BYTES:
            self.close_connection = True
            self._refuse(413, "the body is empty or too long")
            return
        try:
            body = json_value(self.rfile.read(length), where="the body")
            self._send(200, self.server.answer(self.path, body))
        except InputError as error:
            self._refuse(400, error.what)
        except (KeyError, TypeError, ValueError, AttributeError, LookupError) as error:
            self._refuse(400, f"not a request that is understood here: {type(error).__name__}")

    def _refuse(self, status: int, message: str) -> None:
        self._send(status, {"error": {"message": message, "type": "invalid_request_error"}})

    def _send(self, status: int, document: Mapping[str, Any]) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Nothing: what is asked is nobody else's business."""


class LocalEndpoint(ThreadingHTTPServer):
    """The server: one model, ``/v1/chat/completions`` and ``/v1/completions``."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, model: Path, *, name: str, port: int) -> None:
        """A server that listens on this machine alone; the model is loaded in float32 on the CPU.

        Raises:
            InputError: if the model cannot be loaded.
            OSError: if the port is taken.
        """
        super().__init__(("127.0.0.1", port), _Handler)
        self.name = name
        self.fingerprint = f"fp_{model_identity(model).weights.removeprefix('sha256:')[:12]}"
        self.asked = load_asked_model(model)
        self.writer = _Writer(self.asked)
        self.writer.start()

    @property
    def address(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def answer(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """One completion.

        Raises:
            InputError: if the model cannot answer this.
        """
        if body.get("model") != self.name:
            raise InputError(f"the model {body.get('model')!r} is not served here; {self.name!r} is")
        if float(body.get("temperature") or 0.0) > 0 or int(body.get("n") or 1) != 1 or body.get("stream"):
            raise InputError("this server answers greedily, once and whole: leave out temperature, n and stream")
        is_chat = path.partition("?")[0].endswith("/chat/completions")
        if not is_chat and not path.partition("?")[0].endswith("/completions"):
            raise InputError(f"{path} is not served here")
        ids = self._ids(body, is_chat=is_chat)
        stop = body.get("stop") or []
        most = int(body.get("max_completion_tokens") or body.get("max_tokens") or _DEFAULT_TOKENS)
        if len(ids) + most > self.asked.max_length:
            raise InputError(f"the prompt has {len(ids)} tokens and asks for {most}; the model takes {self.asked.max_length} in all")
        one = _Waiting(ids=ids, settings={"until": [stop] if isinstance(stop, str) else list(stop), "max_gen_toks": most})
        self.writer.waiting.put(one)
        one.done.wait()
        if one.fault or one.text is None:
            raise InputError(one.fault or "the model's numbers were not finite")
        return self._document(one.text, len(ids), is_chat=is_chat)

    def _ids(self, body: Mapping[str, Any], *, is_chat: bool) -> list[int]:
        if not is_chat:
            return self.asked.encode(str(body["prompt"])) or [self.asked.prefix_id]
        messages = body["messages"]
        # A model without a chat template reads the contents as they are.
        plain = "\n\n".join(str(m["content"]) for m in messages)
        return self.asked.encode(self.asked.render(chat_context(messages, plain=plain, tools=body.get("tools") or ()))) or [
            self.asked.prefix_id
        ]

    def _document(self, text: str, read: int, *, is_chat: bool) -> dict[str, Any]:
        wrote = len(self.asked.encode(text, special=False)) + 1
        said: dict[str, Any] = {"message": {"role": "assistant", "content": text}} if is_chat else {"text": text}
        return {
            "object": "chat.completion" if is_chat else "text_completion",
            "model": self.name,
            "system_fingerprint": self.fingerprint,
            "choices": [{"index": 0, "finish_reason": "stop", **said}],
            "usage": {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote},
        }

    def server_close(self) -> None:
        """Stop the writer too."""
        self.writer.waiting.put(None)
        super().server_close()


@contextmanager
def serving(model: Path, *, name: str = "", port: int = 0) -> Iterator[LocalEndpoint]:
    """A server that runs in a thread of its own until the block ends."""
    with LocalEndpoint(model, name=name or model.name, port=port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
