"""The no-skill control: a model of the student's shape that never saw a text.

A suite that an untrained model passes as well as the teacher cannot show a regression; the gate can only notice that if the
untrained model answers the same plan.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
import transformers

from kdgov.checkpoints.loading import AUTO_CLASSES, task_of, without_bars
from kdgov.digest import digest_json, write_atomic

SEED = 20_260_101
_READING_FILES = ("tokenizer*", "vocab*", "merges*", "special_tokens*", "*.model", "chat_template*", "spiece*", "*processor_config.json")


def make_control(student: Path, folder: Path) -> Path:
    """A checkpoint of the student's configuration and tokenizer with freshly drawn weights, seeded; reused where it is whole."""
    seal = folder / "control.json"
    wanted = digest_json({"config": (student / "config.json").read_text(encoding="utf-8"), "seed": SEED, "torch": torch.__version__})
    if seal.is_file() and seal.read_text(encoding="utf-8") == wanted:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = transformers.AutoConfig.from_pretrained(str(student), local_files_only=True, trust_remote_code=False)
    if hasattr(config, "quantization_config"):
        # Its weights are drawn in full precision; a configuration that says otherwise could not be loaded with them.
        del config.quantization_config
    generator_state = torch.random.get_rng_state()
    torch.manual_seed(SEED)
    model = AUTO_CLASSES[task_of(student)].from_config(config)
    torch.random.set_rng_state(generator_state)
    with without_bars():
        model.to(torch.float32).save_pretrained(folder)
    for pattern in _READING_FILES:
        for file in student.glob(pattern):
            shutil.copyfile(file, folder / file.name)
    write_atomic(seal, wanted.encode())
    return folder
