"""What a judge behind an address has replied, a line per question, kept as it comes: nothing that was paid is lost or paid twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kdgov.digest import digest_json
from kdgov.endpoints.reply import WITHHELD, Reply
from kdgov.evaluation.scoring.judge_cache import append_row


class JudgeReplies:
    """Replies of one judge in one file; without a folder they are kept in memory alone."""

    def __init__(self, folder: Path | None, judge: str) -> None:
        """Read what is there.

        Args:
            folder: where answers of this evaluation are kept; None: nowhere.
            judge: digest of all that decides the judge's labels.
        """
        self.path = None if folder is None else folder / "judges" / f"{judge.removeprefix('sha256:')}.replies.jsonl"
        self._lock = threading.Lock()
        self._rows: dict[str, dict[str, Any]] = {}
        if self.path is not None and self.path.is_file():
            for line in self.path.read_bytes().splitlines():
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            row = json.loads(line)
            self._rows[str(row["asked"])] = {**row, "said": str(row["said"]), "usd": float(row["usd"])}
        except (ValueError, KeyError, TypeError):
            # The last line of a run that was killed: asked again.
            return

    @property
    def usd(self) -> float:
        """Dollars that all of them cost."""
        return sum(float(row["usd"]) for row in self._rows.values())

    def said(self, question: str) -> str | None:
        """The reply to a question; None where it was never asked."""
        row = self._rows.get(_key(question))
        return None if row is None else str(row["said"])

    def keep(self, question: str, reply: Reply) -> None:
        """Keep one reply so that it survives a kill; of a withheld one there is nothing to keep but for this run."""
        key = _key(question)
        row = {
            "asked": key, "said": reply.text, "usd": reply.usd, "in": reply.input_tokens, "out": reply.output_tokens,
            "counted": reply.is_counted, "model": reply.model,
        }  # fmt: skip
        with self._lock:
            self._rows[key] = row
            if self.path is None or (reply.finish_reason == WITHHELD and not reply.usd):
                return
            append_row(self.path, row, is_paid=True)

    def usage(self, questions: Iterable[str]) -> dict[str, Any]:
        """What the replies to some questions took: the same for the same questions, whoever asked them first."""
        rows = [row for key in dict.fromkeys(map(_key, questions)) if (row := self._rows.get(key)) is not None]
        models: dict[str, int] = {}
        for row in rows:
            name = str(row.get("model") or "")
            models[name] = models.get(name, 0) + 1
        return {
            "answers": len(rows),
            "input_tokens": _sum(rows, "in"),
            "output_tokens": _sum(rows, "out"),
            "is_counted": all(bool(row.get("counted")) for row in rows),
            "usd": round(sum(row["usd"] for row in rows), 9),
            "answered": dict(sorted(models.items())),
        }


def _sum(rows: Iterable[Mapping[str, Any]], name: str) -> int:
    return sum(int(row.get(name) or 0) for row in rows)


def _key(question: str) -> str:
    return digest_json(question)
