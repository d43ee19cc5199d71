"""Silences what libraries say while they load: it concerns neither the user nor the result."""

from __future__ import annotations

import logging
import os

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
for _name in ("torchao", "torch.utils._pytree", "lm_eval", "datasets", "accelerate"):
    logging.getLogger(_name).setLevel(logging.ERROR)
