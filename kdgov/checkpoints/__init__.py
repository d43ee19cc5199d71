"""Models on disk: who they are (`identity`, without torch) and how they are loaded (`loading`)."""

from __future__ import annotations

import logging

_NOISE = ("Failed to load", "is an Enum subclass and is now natively supported")


def _says_something(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    return not any(noise in message for noise in _NOISE)


# transformers imports torchao wherever it is installed, and torchao then names every kernel of other machines it cannot load.
for _name in ("torchao", "torch.utils._pytree"):
    logging.getLogger(_name).addFilter(_says_something)
