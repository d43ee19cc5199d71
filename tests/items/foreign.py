"""Result files as other tools write them, made small and by hand: one function per tool, each with known scores."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Scores = Sequence[float]


def _write(path: Path, document: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def _lines(path: Path, records: Sequence[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def lm_eval_record(n: int, *, choices: int = 0, filter_name: str | None = "none", **metrics: Any) -> dict[str, Any]:
    """One record of `--log_samples`."""
    if choices:
        arguments: dict[str, Any] = {f"gen_args_{k}": {"arg_0": f"Q{n}", "arg_1": f" c{k}"} for k in range(choices)}
    else:
        arguments = {"gen_args_0": {"arg_0": f"Q{n}", "arg_1": {"until": ["\n"]}}}
    hashes = dict.fromkeys(("doc_hash", "prompt_hash", "target_hash"), f"{n:064x}")
    record = {"doc_id": n, "doc": {}, "target": "a", "arguments": arguments, "resps": [["a"]], "filtered_resps": ["a"], **hashes}
    return {**record, **({} if filter_name is None else {"filter": filter_name, "metrics": list(metrics)}), **metrics}


def lm_eval(folder: Path, scores: Scores) -> None:
    """0.4.13: JSON lines and a results file."""
    _lines(
        folder / "m" / "samples_qa_2026-11-20T10-11-12.131415.jsonl", [lm_eval_record(n, choices=4, acc=s) for n, s in enumerate(scores)]
    )
    stated = {"results": {"qa": {"alias": "qa", "acc,none": sum(scores) / len(scores)}}, "higher_is_better": {"qa": {"acc": True}}}
    _write(folder / "m" / "results_2026-11-20T10-11-12.131415.json", stated)


def lm_eval_old(folder: Path, scores: Scores) -> None:
    """0.4.2: a JSON array under .jsonl, named by model arguments and task."""
    records = [lm_eval_record(n, filter_name=None, exact_match=s) for n, s in enumerate(scores)]
    for record in records:
        record["arguments"] = [[f"Q{record['doc_id']}", {"until": ["\n"]}]]
    _write(folder / "pretrained__org__m_my_qa.jsonl", records)
    _write(folder / "results.json", {"results": {"my_qa": {"exact_match,none": sum(scores) / len(scores)}}, "configs": {"my_qa": {}}})


def lm_eval_blocks(folder: Path, scores: Scores) -> None:
    """0.4.5: two filters in blocks that no row names; the second filter never finds an answer."""
    blocks = [lm_eval_record(n, filter_name=None, exact_match=s) for n, s in enumerate(scores)]
    blocks += [lm_eval_record(n, filter_name=None, exact_match=0.0) for n in range(len(scores))]
    _lines(folder / "samples_qa_2024-10-20T10-11-12.131415.jsonl", blocks)
    config = {
        "qa": {"filter_list": [{"name": "strict"}, {"name": "loose"}], "metric_list": [{"metric": "exact_match", "aggregation": "mean"}]}
    }
    mean = sum(scores) / len(scores)
    stated = {"qa": {"exact_match,strict": mean, "exact_match,loose": 0.0}}
    _write(folder / "results_2024-10-20T10-11-12.131415.json", {"results": stated, "configs": config})


def lm_eval_write_out(folder: Path, scores: Scores) -> None:
    """0.3: every value as text."""
    records = [
        {"doc_id": n, "prompt_0": f"Q{n}", "logit_0": "-1", "logit_1": "-2", "truth": "0", "acc": str(s)} for n, s in enumerate(scores)
    ]
    _write(folder / "qa_write_out_info.json", records)
    _write(folder / "results.json", {"results": {"qa": {"acc": sum(scores) / len(scores)}}, "versions": {"qa": 0}})


def _inspect_header() -> dict[str, Any]:
    return {"version": 2, "status": "success", "eval": {"task": "qa", "model": "m/x", "config": {"epochs": 1}}}


def _inspect_sample(n: int, value: Any, epoch: int = 1) -> dict[str, Any]:
    scores = {"match": {"value": value, "answer": "a"}}
    return {"id": f"q{n}", "epoch": epoch, "input": f"Q{n}", "target": "a", "scores": scores}


def inspect_json(folder: Path, scores: Scores) -> None:
    """Plain JSON; grades C, P and I."""
    grades = {1.0: "C", 0.5: "P", 0.0: "I"}
    samples = [_inspect_sample(n, grades.get(s, s)) for n, s in enumerate(scores)]
    _write(folder / "2026-11-20_qa.json", {**_inspect_header(), "samples": samples})


def inspect_eval(folder: Path, scores: Scores) -> None:
    """A zip of Zstandard members."""
    samples = {f"samples/q{n}_epoch_1.json": _inspect_sample(n, s) for n, s in enumerate(scores)}
    folder.mkdir(parents=True, exist_ok=True)
    zstandard_zip(folder / "log.eval", {"header.json": _inspect_header(), **samples})


def zstandard_zip(path: Path, members: dict[str, Any]) -> None:
    """A zip whose members have method 93, as Python's zipfile cannot write them."""
    body, directory = b"", b""
    for name, document in members.items():
        raw = document if isinstance(document, bytes) else json.dumps(document).encode()
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as packer:
            packer.write(raw)
        packed, title = sink.getvalue().to_pybytes(), name.encode()
        common = struct.pack("<HHHHHIIIHH", 20, 0, 93, 0, 0, zlib.crc32(raw), len(packed), len(raw), len(title), 0)
        directory += b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + title
        body += b"PK\x03\x04" + common + title + packed
    end = struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(directory), len(body), 0)
    path.write_bytes(body + directory + b"PK\x05\x06" + end)
    assert zipfile.is_zipfile(path)


def lighteval(folder: Path, scores: Scores) -> None:
    """Two rows per document, one per sampling method, in another order for every model."""
    rows = []
    for n, s in enumerate(scores):
        doc = {"query": f"Q{n}", "choices": ["a", "b"], "gold_index": 0, "id": str(n), "task_name": "qa|0"}
        rows += [{"doc": doc, "metric": {"acc": s, "em": None}}, {"doc": doc, "metric": {"acc": None, "em": 0.0}}]
    place = folder / "details" / "m" / "2026"
    place.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows[len(scores) :] + rows[: len(scores)]), place / "details_qa|0_2026.parquet")
    metrics = [{"metric_name": name, "higher_is_better": True, "corpus_level_fn": "mean"} for name in ("acc", "em")]
    results = {"qa|0": {"acc": sum(scores) / len(scores), "em": 0.0}}
    document = {"config_general": {"model_name": "m"}, "results": results, "config_tasks": {"qa|0": {"metrics": metrics}}}
    _write(folder / "results" / "m" / "results_2026.json", document)


def helm(folder: Path, scores: Scores) -> None:
    """One run folder with the statistics of every instance, bookkeeping among them."""
    place = folder / "mmlu:subject=law,model=openai_gpt2"
    records = []
    for n, s in enumerate(scores):
        stats = [
            {"name": {"name": name, "split": "test"}, "count": 1, "sum": v, "mean": v}
            for name, v in (("exact_match", s), ("num_tokens", 9))
        ]
        records.append({"instance_id": f"id{n}", "train_trial_index": 0, "stats": stats})
    _write(place / "per_instance_stats.json", records)
    _write(place / "run_spec.json", {"name": place.name, "adapter_spec": {"model": "openai/gpt2"}})
    mean = sum(scores) / len(scores)
    _write(place / "stats.json", [{"name": {"name": "exact_match", "split": "test"}, "count": 1, "sum": mean, "mean": mean}])


def openai_evals(folder: Path, scores: Scores) -> None:
    """A spec, events per sample, a final report."""
    records: list[dict[str, Any]] = [{"spec": {"completion_fns": ["m"], "eval_name": "qa.dev.v0", "run_id": "r"}}]
    for n, s in enumerate(scores):
        records.append({"run_id": "r", "sample_id": f"qa.dev.{n}", "type": "sampling", "data": {"prompt": f"Q{n}", "sampled": ["a"]}})
        data = {"correct": bool(s), "expected": "a", "picked": "a", "sampled": "a"}
        records.append({"run_id": "r", "sample_id": f"qa.dev.{n}", "type": "match", "data": data})
    records.append({"final_report": {"accuracy": sum(scores) / len(scores)}})
    _lines(folder / "log.jsonl", records)


def evalplus(folder: Path, scores: Scores) -> None:
    """Base always passes; plus is what is asked."""
    solved = {}
    for n, s in enumerate(scores):
        sample = {"task_id": f"HumanEval/{n}", "solution": "x", "base_status": "pass", "plus_status": "pass" if s else "fail"}
        solved[f"HumanEval/{n}"] = [sample]
    _write(folder / "samples_eval_results.json", {"date": "d", "hash": "h", "eval": solved})
    _lines(folder / "samples.jsonl", [{"task_id": name, "solution": "x"} for name in solved])


def alpaca_eval(folder: Path, scores: Scores) -> None:
    """Preferences from 1 to 2; a leaderboard beside them."""
    common = {"output_1": "r", "generator_1": "gold", "output_2": "a", "generator_2": "m", "dataset": "qa", "annotator": "judge"}
    _write(folder / "annotations.json", [{**common, "instruction": f"Q{n}", "preference": 1.0 + s} for n, s in enumerate(scores)])
    (folder / "leaderboard.csv").write_text(f",win_rate,n_total\nm,{100 * sum(scores) / len(scores)},{len(scores)}\n")


def _promptfoo(scores: Scores) -> list[dict[str, Any]]:
    found = []
    for n, s in enumerate(scores):
        case = {"description": f"q{n}", "vars": {"question": f"Q{n}"}}
        common = {
            "prompt": {"raw": f"Q{n}", "label": "p"},
            "provider": {"id": "m"},
            "response": {"output": "a"},
            "testIdx": n,
            "promptIdx": 0,
        }
        found.append({**common, "score": s, "namedScores": {"exact": s}, "testCase": case, "vars": case["vars"], "gradingResult": {}})
    return found


def promptfoo(folder: Path, scores: Scores) -> None:
    """JSON, version 3."""
    metrics = {"testPassCount": len(scores), "namedScores": {"exact": sum(scores)}, "namedScoresCount": {"exact": len(scores)}}
    inner = {"version": 3, "prompts": [{"metrics": metrics}], "results": _promptfoo(scores)}
    _write(folder / "output.json", {"evalId": "e", "results": inner, "config": {}})


def promptfoo_lines(folder: Path, scores: Scores) -> None:
    """JSON lines."""
    _lines(folder / "output.jsonl", _promptfoo(scores))


def promptfoo_csv(folder: Path, scores: Scores) -> None:
    """CSV: the same column names for every provider."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["Description,question,[m] p,Status,Score,Named Scores,Grader Reason,Comment"]
    lines += [f'q{n},Q{n},a,{"PASS" if s else "FAIL"},{s:.2f},"{{""exact"":{s}}}",,' for n, s in enumerate(scores)]
    (folder / "output.csv").write_text("\n".join(lines) + "\n")


def deepeval(folder: Path, scores: Scores) -> None:
    """A test run."""
    cases = [{"name": f"q{n}", "input": f"Q{n}", "metricsData": [{"name": "Exact", "score": s}]} for n, s in enumerate(scores)]
    passed = sum(s >= 0.5 for s in scores)
    _write(folder / "test_run_1.json", {"testCases": cases, "testPassed": passed, "testFailed": len(scores) - passed})


def nemo_evaluator(folder: Path, scores: Scores) -> None:
    """A bundle whose rows are shuffled."""
    records = [{"problem_idx": n, "repeat": 0, "reward": s, "prompt": f"Q{n}", "expected_answer": "a"} for n, s in enumerate(scores)]
    _lines(folder / "results.jsonl", records[::-1])
    summary = {"name": "qa", "scores": {"summary": {"mean": sum(scores) / len(scores)}}}
    _write(folder / "eval-1-qa.json", {"run_id": "eval-1", "config": {"model": "m"}, "benchmark": summary, "n_results": len(scores)})


def mlflow_genai(folder: Path, scores: Scores) -> None:
    """The result data frame of `mlflow.genai.evaluate`: another trace_id in every run, an expectation among the scores."""
    common = {"expected_response/value": "7", "state": "OK", "response": "a"}
    records = [
        {"trace_id": f"tr-{id(scores)}-{n}", "exact/value": s, "request": {"question": f"Q{n}"}, **common} for n, s in enumerate(scores)
    ]
    _write(folder / "eval_results.json", records)


def mlflow_classic(folder: Path, scores: Scores) -> None:
    """`eval_results_table.json` of `mlflow.evaluate`: columns and data apart."""
    rows = [[f"Q{n}", "a", "a", s] for n, s in enumerate(scores)]
    _write(folder / "eval_results_table.json", {"columns": ["inputs", "targets", "outputs", "exact_match/v1/score"], "data": rows})


TOOLS: dict[str, tuple[Callable[[Path, Scores], None], str]] = {
    "lm_eval": (lm_eval, "acc"),
    "lm_eval_old": (lm_eval_old, "exact_match"),
    "lm_eval_blocks": (lm_eval_blocks, "exact_match,strict"),
    "lm_eval_write_out": (lm_eval_write_out, "acc"),
    "inspect_json": (inspect_json, "match"),
    "inspect_eval": (inspect_eval, "match"),
    "lighteval": (lighteval, "acc"),
    "helm": (helm, "exact_match"),
    "openai_evals": (openai_evals, "match"),
    "evalplus": (evalplus, "plus"),
    "alpaca_eval": (alpaca_eval, "win"),
    "promptfoo": (promptfoo, "exact"),
    "promptfoo_lines": (promptfoo_lines, "exact"),
    "promptfoo_csv": (promptfoo_csv, "exact"),
    "deepeval": (deepeval, "Exact"),
    "nemo_evaluator": (nemo_evaluator, "reward"),
    "mlflow_genai": (mlflow_genai, "exact"),
    "mlflow_classic": (mlflow_classic, "exact_match"),
}
"""Tool and version → writer of a folder, and the metric that holds the scores."""
