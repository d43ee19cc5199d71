"""The cache of a run, opened and filled from where its recipe says: the teacher's weights, an engine, or files."""

from __future__ import annotations

import time
from typing import Any

from kdgov.checkpoints.identity import tokenizer_digest
from kdgov.declarations.distillation import SoftTargets
from kdgov.declarations.release_parts.teacher_cache_options import TeacherCache
from kdgov.digest import digest_file, digest_json
from kdgov.distillation.data.tokenization import TokenCollator
from kdgov.distillation.generation.asking import who_is_asked
from kdgov.distillation.inputs import DistillationInputs
from kdgov.distillation.teacher_cache.cache import SCHEMA, LogitCache, header_of
from kdgov.distillation.teacher_cache.cache_parts import CacheHeader
from kdgov.distillation.teacher_cache.told_logits import asked_logits, read_logits
from kdgov.errors import InputError
from kdgov.processes import is_first
from kdgov.progress import Progress

_POLL_S = 0.5


def opened_cache(material: DistillationInputs, teacher: Any, progress: Progress) -> LogitCache | None:
    """The cache a recipe declares, with a word on every example; None where it declares none.

    Raises:
        InputError: if the task or the temperature does not fit, or who tells the distributions does not tell all of them.
        UnavailableError: if an engine cannot be reached; what it told is kept.
    """
    declared = material.recipe.cache
    if declared is None or (declared.source == "weights" and material.teacher is None):
        return None
    if material.task != "causal_lm" or not isinstance(material.prepared.collate, TokenCollator):
        raise InputError("is for language models", where="distillation.cache", mend="Remove `cache:`: a classifier's answers are small.")
    header = _header(material, declared)
    named = declared.folder

    def opened() -> LogitCache:
        return LogitCache.shared(material.cache_root, header) if named is None else LogitCache(material.cache_root, header)

    cache = opened()
    while not is_first() and cache.missing(material.prepared.items):
        # One process asks the teacher; the others read what it wrote.
        time.sleep(_POLL_S)
        cache = opened()
    if declared.source == "weights":
        cache.fill(material.prepared.items, teacher, material.prepared.collate, progress, known=material.vocabulary.teacher)
        return cache
    return _told(cache, declared, material, progress)


def _told(cache: LogitCache, declared: TeacherCache, material: DistillationInputs, progress: Progress) -> LogitCache:
    lacking = cache.missing(material.prepared.items)
    known = material.vocabulary.student or material.prepared.known
    if lacking and declared.endpoint is not None:
        cache.take_in(asked_logits(declared.endpoint, lacking, cache.header.k, progress, known=known))
    elif lacking:
        path, recipe = material.tokenizer_path, material.recipe
        told = read_logits(material.logit_files, lacking, cache.header.k, progress, tokenizer_path=path, recipe=recipe, known=known)
        cache.take_in(told)
    if left := cache.missing(material.prepared.items):
        raise InputError(
            f"says nothing of {len(left)} of {len(material.prepared.items)} examples, the first: {left[0].item_id}",
            where="distillation.cache",
            mend="Have the distributions of all of them written, in the student's token ids, with the end-of-text token.",
        )
    return cache


def _header(material: DistillationInputs, declared: TeacherCache) -> CacheHeader:
    if declared.source == "weights" and material.teacher is not None:
        return header_of(material.recipe, declared, material.teacher, material.vocabulary.teacher)
    soft = next(term for term in material.recipe.terms if isinstance(term, SoftTargets))
    if soft.temperature != 1.0:
        raise InputError(
            f"has soft targets at temperature {soft.temperature:g}, and a teacher elsewhere tells probabilities at temperature 1",
            where="distillation.terms",
            mend="Set `temperature: 1` in the soft_targets term.",
        )
    if declared.source == "endpoint" and declared.endpoint is None:
        raise InputError("asks an engine and names none", where="distillation.cache", mend="Add `endpoint:` to it, or to the teacher.")
    who = who_is_asked(declared.endpoint) if declared.endpoint is not None else {"files": [digest_file(f) for f in material.logit_files]}
    known = material.vocabulary.student
    return CacheHeader(
        schema=SCHEMA,
        teacher=digest_json(who),
        teacher_config="",
        tokenizer=tokenizer_digest(material.tokenizer_path),
        kind="top_k",
        k=declared.k,
        temperature=1.0,
        vocab_size=known.size if known is not None else 1 << 24,
        # How an engine or a file is read does not change what it told; an own loader would.
        code="",
    )
