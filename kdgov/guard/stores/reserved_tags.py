"""Tags that the guard alone writes, however their names are spelled, and the mark that makes an entry a prompt."""

from __future__ import annotations

import unicodedata

from kdgov.evidence.release_statement import RESERVED_PREFIX
from kdgov.guard.config import GuardConfig
from kdgov.guard.request_context import IS_PROMPT_TAG, refuse

RECORDING_TAG = "kdgov-recording"
"""Names which recording a run or a version belongs to."""
# Letters of other scripts that look like those of "kdgov".
_LOOKALIKES = str.maketrans({
    "к": "k", "κ": "k", "ԁ": "d", "ɡ": "g", "ց": "g", "о": "o", "ο": "o", "օ": "o", "ν": "v", "ѵ": "v", "․": ".", "｡": ".",
})  # fmt: skip


def reserved(key: str) -> bool:
    """Whether a tag's name lies under ``kdgov.``, or reads so to a person."""
    folded = unicodedata.normalize("NFKC", key).casefold().translate(_LOOKALIKES)
    shown = "".join(c for c in folded if unicodedata.category(c) not in ("Cf", "Cc", "Zs", "Mn"))
    return shown.startswith(RESERVED_PREFIX)


class ReservedTags:
    """Refusals about tags, mixed in before MLflow's store."""

    config: GuardConfig

    def _refuse_reserved(self, name: str, key: str, action: str) -> None:
        # Case and surrounding blanks are folded: `KDGOV.verdict` would read the same to a person.
        # So does a look-alike of another script, or one with invisible letters.
        if reserved(key) and self.config.guards(name):
            refuse(f"kdgov refuses to {action} the tag {key!r} on {name}: tags under {RESERVED_PREFIX} are written by the guard alone.")

    def _refuse_recording(self, name: str, key: str) -> None:
        if key == RECORDING_TAG and self.config.guards(name):
            refuse(f"kdgov refuses to change the tag {key!r} on {name}: it names the recording, and comes with the version.")

    @staticmethod
    def _refuse_prompt_toggle(key: str) -> None:
        if key.strip().lower() == IS_PROMPT_TAG:
            refuse("kdgov refuses to turn a model into a prompt or back: register it under another name.")
