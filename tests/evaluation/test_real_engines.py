"""Real engines behind the endpoint client: what they answer is what the same weights answer here, also through planted faults."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.utils.import_utils import is_serve_available

from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.errors import InputError
from kdgov.evaluation.backends.settings import BackendSettings
from kdgov.evaluation.plan.build import build_plan, read_suites
from kdgov.evaluation.plan.messages import answerable
from kdgov.evaluation.results.evaluation_run import evaluate
from tests.command import free_port
from tests.endpoints.faulty_proxy import faulty_proxy
from tests.evaluation.worlds import make_model

pytestmark = pytest.mark.nightly
TEMPLATE = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[answer]{% endif %}"
VLLM = "KDGOV_TEST_VLLM_PYTHON"
"""Variable that names the Python of an environment with vLLM; it needs another torch than this one, so it has its own."""
LLAMA = "KDGOV_TEST_LLAMA_PYTHON"
"""Variable that names the Python of an environment with `llama-cpp-python[server]`, gguf and safetensors."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Heads of 64: the CPU kernels of vLLM take no smaller ones than 32.
    folder = make_model(tmp_path_factory.mktemp("served"), seed=3, template=TEMPLATE, width=256)
    _write_printable_text_only(folder)
    return folder


def _write_printable_text_only(folder: Path) -> None:
    """Rows of the head set to zero for every token but printable ASCII: half a character is told differently by every engine."""
    weights = load_file(folder / "model.safetensors")
    vocabulary = json.loads((folder / "tokenizer.json").read_bytes())["model"]["vocab"]
    kept = [n for token, n in vocabulary.items() if token.replace("\u0120", " ").isascii() and not token.startswith("<")]
    head = torch.zeros_like(weights["lm_head.weight"])
    head[kept] = weights["lm_head.weight"][kept]
    save_file({**weights, "lm_head.weight": head}, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.fixture(scope="module", params=["transformers serve", "vllm", "llama.cpp"])
def engine(request: Any, model: Path) -> Iterator[str]:
    """Scheme, host and port of a running engine that serves the model."""
    port = free_port()
    if request.param == "llama.cpp":
        if not os.environ.get(LLAMA):
            pytest.skip(f"{LLAMA} names no Python with llama-cpp-python")
        file = model.parent / "model.gguf"
        subprocess.run([os.environ[LLAMA], str(Path(__file__).with_name("write_gguf.py")), str(model), str(file)], check=True)
        command = [os.environ[LLAMA], "-m", "llama_cpp.server", "--model", str(file), "--model_alias", str(model), "--port", port]
        command += ["--n_ctx", "256", "--n_threads", "1"]
    elif request.param == "vllm":
        if not os.environ.get(VLLM):
            pytest.skip(f"{VLLM} names no Python with vLLM")
        command = [os.environ[VLLM], "-m", "vllm.entrypoints.openai.api_server", "--model", str(model), "--port", port]
        command += ["--dtype", "float32", "--max-model-len", "256", "--enforce-eager"]
    else:
        if not is_serve_available():
            pytest.skip("transformers[serving] is not installed")
        command = [str(Path(sys.executable).parent / "transformers"), "serve", str(model), "--port", port, "--device", "cpu"]
    # A cache that is there: without one, transformers' server answers 500 to whoever asks what it serves.
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_CACHE": str(model.parent)}
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            if server.poll() is not None:
                pytest.fail(f"{request.param} ended with {server.returncode}")
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=2)
                break
            except OSError:
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)


def _plan(tiny_suite: Path) -> Any:
    return answerable(build_plan(read_suites([str(tiny_suite)]), limit=6))[0]


def test_an_engine_answers_as_the_weights_do_here_through_every_fault(
    tiny_suite: Path, model: Path, engine: str, tmp_path: Path, request: Any
) -> None:
    plan, is_llama = _plan(tiny_suite), request.node.callspec.params["engine"] == "llama.cpp"
    here = evaluate(plan, model, tmp_path / "here", cache=tmp_path / "c")
    with faulty_proxy(engine, ["429", "500", "cut", "timeout", "", "429"], slow_s=8.0) as proxy:
        # llama-cpp-python's server punishes repeated tokens (by 1.1) unless told otherwise.
        plain = {"repeat_penalty": 1.0} if is_llama else {}
        endpoint = Endpoint(base_url=proxy.url, model=str(model), terms="MIT", concurrency=2, timeout_s=6, retries=5, extra_body=plain)
        how = BackendSettings(backend="chat", endpoint=endpoint, reask=3)
        there = evaluate(plan, endpoint, tmp_path / "there", cache=tmp_path / "c", how=how)
        assert proxy.seen >= 6 + 3 + 5
    said = [{r["item_id"]: r["prediction"] for r in found.table.to_rows()} for found in (here, there)]
    assert said[0] == said[1]
    seen = there.document["endpoint"]
    assert (seen["asked_again"], seen["changed"], seen["usage"]["is_counted"]) == (3, 0, True)
    assert len(seen["answered"]) == 1


def test_another_model_in_the_middle_stops_the_run_and_what_was_paid_is_kept(
    tiny_suite: Path, model: Path, engine: str, tmp_path: Path
) -> None:
    plan = _plan(tiny_suite)
    with faulty_proxy(engine, ["", "", "other model"]) as proxy:
        endpoint = Endpoint(base_url=proxy.url, model=str(model), terms="MIT", concurrency=1, retries=0)
        how = BackendSettings(backend="chat", endpoint=endpoint, reask=0)
        with pytest.raises(InputError, match="answers as 'somebody-else'"):
            evaluate(plan, endpoint, tmp_path / "a", cache=tmp_path / "c", how=how)
        before = proxy.seen
        evaluate(plan, endpoint, tmp_path / "b", cache=tmp_path / "c", how=how)
        assert proxy.seen - before == 6 - 2
