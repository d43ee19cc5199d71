"""Whether a model reads a text from its beginning: one that looks ahead sees the answer whose likelihood it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from kdgov.errors import InputError
from kdgov.evaluation.backends.hugging_face.model_faults import named_fault

_TOKENS = 12
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}
_LOW_TOLERANCE = 0.05
"""Largest change of a logit beside the largest logit that arithmetic may make; a model that looks ahead passes it by far."""


def refuse_looking_ahead(model: Any, path: Path, device: torch.device) -> None:
    """Nothing, if what a causal language model says of a text does not hang on what follows it.

    Raises:
        InputError: if it does (BERT without ``is_decoder``, XLNet, diffusion models), or the model reads no text of a dozen tokens.
    """
    vocabulary = int(model.get_input_embeddings().weight.shape[0])
    one = torch.randint(vocabulary, (1, _TOKENS), generator=torch.Generator().manual_seed(20_261_128))
    other = one.clone()
    other[0, _TOKENS // 2 :] = (other[0, _TOKENS // 2 :] + vocabulary // 2) % vocabulary
    with torch.no_grad(), named_fault(model, path, "a plain text"):
        said = [model(input_ids=ids.to(device)).logits[0, : _TOKENS // 2].float() for ids in (one, other)]
    scale = max(float(said[0].abs().max()), 1e-9)
    changed = float((said[0] - said[1]).abs().max()) / scale
    if changed > _TOLERANCE.get(next(model.parameters()).dtype, _LOW_TOLERANCE):
        raise InputError(
            f"{type(model).__name__} looks ahead: what it says of a text hangs on what follows it, so that no likelihood is one",
            where=str(path),
            mend="Name a causal language model; of BERT and the like, one with `is_decoder: true`.",
        )


def refuse_shown_answers(model: Any, path: Path, device: torch.device) -> None:
    """Nothing, if an encoder-decoder says of an answer's tokens what does not hang on the answer's end.

    Raises:
        InputError: if it does: mBART and its like begin to write with the last of the labels, which in training marks the language.
    """
    vocabulary = int(model.get_input_embeddings().weight.shape[0])
    ids = torch.randint(vocabulary, (2, _TOKENS), generator=torch.Generator().manual_seed(20_261_128)).to(device)
    answers = ids[:, : _TOKENS // 2].clone()
    answers[1] = answers[0]
    # Away from the first ids, which are most often those of padding and of ends.
    answers[:, -1] = torch.tensor([vocabulary // 2, vocabulary // 2 + 1], device=device)
    with torch.no_grad(), named_fault(model, path, "an answer"):
        said = [model(input_ids=ids[:1], labels=answers[row : row + 1]).logits[0].float() for row in (0, 1)]
    changed = float((said[0] - said[1]).abs().max()) / max(float(said[0].abs().max()), 1e-9)
    if changed > _TOLERANCE.get(next(model.parameters()).dtype, _LOW_TOLERANCE):
        raise InputError(
            f"{type(model).__name__} is shown the end of an answer before it says how likely the answer is, so that no likelihood is one",
            where=str(path),
            mend="Ask it tasks to which it writes the answer.",
        )
