"""The list of readers: one row per tool, asked in this order whose a file is."""

from __future__ import annotations

from kdgov.extensions import ExtensionTable
from kdgov.items.reader import Reader
from kdgov.items.readers import (
    alpaca_eval,
    deepeval,
    evalplus,
    helm,
    inspect_log,
    item_table,
    lighteval,
    mlflow_table,
    nemo_evaluator,
    openai_evals,
    promptfoo,
)
from kdgov.items.readers.lm_eval import lm_eval_log, lm_eval_write_out

_OWN: tuple[Reader, ...] = (
    item_table.READER,
    lm_eval_log.READER,
    lm_eval_write_out.READER,
    inspect_log.READER,
    lighteval.READER,
    helm.READER,
    openai_evals.READER,
    evalplus.READER,
    alpaca_eval.READER,
    promptfoo.READER,
    deepeval.READER,
    nemo_evaluator.READER,
    mlflow_table.READER,
)
READERS: ExtensionTable[Reader] = ExtensionTable("kdgov.item_readers", {reader.name: reader for reader in _OWN})
"""Every reader by its name; packages add theirs through the entry points ``kdgov.item_readers``."""
