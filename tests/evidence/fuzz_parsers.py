"""A fuzzer of what a registry, a gate or an audit reads and somebody else may have written; result files are fuzzed in tests/items.

    python -m tests.evidence.fuzz_parsers --seconds 600 --seed 1 --keep crashes/

Declarations (policies, cards, suites, task files, releases), trust files, signed statements, owner's lists, witnessed heads, log entries,
whole bundles through the derivation that the guard asks, and chat templates. Mutated input must be read, answered or refused in one line;
nothing else may escape, and nothing may take long. Runs in a process of its own, so that a parser that ends the process is seen.
"""

from __future__ import annotations

import argparse
import datetime
import json
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

from kdgov.checkpoints.bounded_templates import BoundedChatEnvironment, rendered
from kdgov.declarations.cards import load_card
from kdgov.declarations.effects.release_file import load_release
from kdgov.declarations.policy_file import load_policy
from kdgov.declarations.suite import load_suite
from kdgov.digest import digest_file
from kdgov.errors import KdgovError
from kdgov.evaluation.plan.suite_code import suite_code
from kdgov.evidence.bundle import bundle_digest, compare_bundle, write_manifest
from kdgov.evidence.derivation.derive import Asker, derive
from kdgov.evidence.derivation.evaluation_statement import sign_evaluation
from kdgov.evidence.derivation.owner_rules import AllowedPolicy, PolicyList, load_owner_rules, write_policies
from kdgov.evidence.derivation.witness import witnessed_heads
from kdgov.evidence.event_chain import GENESIS, LogEntry, chain_faults, signed_head, trust_faults
from kdgov.evidence.permission_files import read_statements
from kdgov.evidence.signing import claimed_predicate, claimed_type, sign_statement, signing_date, statement, verify_statement
from kdgov.evidence.signing_keys import load_signer, new_key
from kdgov.evidence.trust_store import PURPOSES, TrustStore, load_trust, save_trust, trusted_key
from kdgov.guard.log_reading import entry_of
from kdgov.resources import data_folder
from kdgov.safe_parse import json_file
from tests.auditing.small_release import checkpoint, write_bundle
from tests.items.fuzz_readers import mutated_bytes, mutated_value

MOST_MEMORY_BYTES = 6 << 30
LONGEST_S = 20.0
"""Longest that one input may take, in processor seconds; templates are cut off after kdgov's own limit."""
NOW = datetime.datetime.now(datetime.UTC)
_YAML_ODD = [
    b"!!timestamp x",
    b"&a [*a]",
    b"!!python/object:os.system x",
    b"\x1b[31m",
    b"<<: *x",
    b"0x",
    b"1e999",
    b"? [a]",
    b": :",
    b"!!binary x",
]
_TEMPLATES = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m['content'] | trim }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
    "{{ bos_token }}{% set ns = namespace(x=0) %}{% for m in messages %}{% set ns.x = 1 %}{{ m.content.split('a')[-1] }}{% endfor %}",
    "{% macro show(m) %}{{ m.content|tojson }}{% endmacro %}{% for m in messages %}{{ show(m) }}{{ raise_exception('x') }}{% endfor %}",
    "{{ messages | map(attribute='content') | join('|') * 3 }}{{ '%s' % messages }}{{ 'x'.center(99) }}{{ range(9) | list }}",
)
_TOKENS = (
    "* 10**9",
    "** 9 ** 9",
    ".__class__",
    "|attr('__init__')",
    "range(10**9)",
    "'a' * 10**9",
    "{% for x in range(10**7) %}",
    "|join",
    "{{",
    "}}",
)

Read = Callable[[Path], object]


class World:
    """Honest files of every kind, signed by one key that the trust store lists for everything."""

    def __init__(self, root: Path) -> None:
        key = new_key(root / "keys", "own", passphrase=None)
        self.signer = load_signer(f"file:{key.private_path}")
        listed = trusted_key(key.public_path.read_text(), name="own", purposes=list(PURPOSES), roles=["risk"])
        self.trust_file = root / "keys" / "trust.json"
        save_trust(self.trust_file, TrustStore().with_key(listed))
        self.trust = load_trust(self.trust_file)
        weights, teacher = checkpoint(root / "weights", 1, 4), checkpoint(root / "teacher", 2, 8)
        self.bundle = write_bundle(root / "bundle", weights=weights, teacher=teacher, n=100)
        for role in ("teacher", "student"):
            sign_evaluation(self.bundle / role, [self.signer], at=NOW)
        write_manifest(self.bundle)
        self.root = root
        self.statement = root / "statement.dsse.json"
        body = statement("urn:kdgov:predicate:waiver:v1", {"decision": "sha256:" + "0" * 64}, subjects={"x": "sha256:" + "1" * 64})
        self.statement.write_text(json.dumps(sign_statement(body, [self.signer], at=NOW)))
        policy = load_policy(self.bundle / "policy.yaml")
        listed_policy = AllowedPolicy(name=policy.name, version=policy.version, digest=policy.digest, models=["*"])
        self.rules = write_policies(self.trust_file, PolicyList(allow=[listed_policy]), [self.signer], at=NOW)
        self.log = [self._entry(1, GENESIS)]
        self.log.append(self._entry(2, self.log[0].hash))
        self.entry = root / "entry.json"
        self.entry.write_text(json.dumps({**self.log[1].body(), "head": dict(self.log[1].head)}))

    def _entry(self, seq: int, previous: str) -> LogEntry:
        fields: dict[str, Any] = {"seq": seq, "previous": previous, "at": NOW.strftime("%Y-%m-%dT%H:%M:%SZ"), "kind": "decide", "by": "me"}
        entry = LogEntry(**fields, workspace="default", name="m", version=1, details={"decision": "sha256:" + "0" * 64, "trust": "x"})
        return LogEntry(**{**entry.body(), "head": signed_head(entry, self.signer, at=NOW)})


def yaml_cases(world: World) -> Iterator[tuple[str, Path, Read]]:
    """Declarations: (name, honest file, reader)."""
    shipped = data_folder("policies"), data_folder("evalsuites"), data_folder("registry")
    for path in sorted(shipped[0].glob("*.yaml")):
        yield f"policy {path.stem}", path, load_policy
    for path in sorted(shipped[1].rglob("suite.yaml")):
        yield f"suite {path.parent.name}", path, load_suite
    for path in sorted(p for p in shipped[1].rglob("*.yaml") if p.name != "suite.yaml")[:30]:
        yield f"task {path.stem}", path, lambda file: suite_code(file, where="fuzz")
    for folder, read in (("models", load_card), ("datasets", load_card), ("releases", load_release)):
        for path in sorted((shipped[2] / folder).glob("*.yaml")):
            yield f"{folder} {path.stem}", path, read
    yield "trust", world.trust_file, load_trust


def json_cases(world: World) -> Iterator[tuple[str, Path, Read]]:
    """Signed and sealed documents: (name, honest file, reader)."""
    yield "trust", world.trust_file, load_trust
    yield "statement", world.statement, lambda path: _verified(world, json_file(path))
    yield "permission", world.statement, lambda path: read_statements([path], trust=world.trust)
    yield "witness", world.statement, lambda path: witnessed_heads(path, world.trust, at=NOW)
    yield "log entry", world.entry, lambda path: _log(world, path)
    yield "owner's rules", world.rules, lambda path: _rules(world, path)


def _verified(world: World, envelope: Any) -> object:
    found = envelope if isinstance(envelope, dict) else {}
    answer = verify_statement(found, world.trust, purpose="waiver", at=NOW)
    return answer, claimed_type(found), claimed_predicate(found), signing_date(found)


def _log(world: World, path: Path) -> object:
    text = path.read_text(encoding="utf-8", errors="replace")
    entry = entry_of(SimpleNamespace(entry=text, seq=2, workspace="default", name="m", version=1))
    entries = [world.log[0], entry]
    return chain_faults(entries, world.trust), trust_faults(entries, world.trust)


def _rules(world: World, path: Path) -> object:
    place = path.parent / "rules"
    place.mkdir(exist_ok=True)
    shutil.copy(world.trust_file, place / "trust.json")
    shutil.copy(path, place / "policies.dsse.json")
    rules = load_owner_rules(place / "trust.json", world.trust, at=NOW, shown=path.read_text(encoding="utf-8", errors="replace"))
    return rules.refusals(model="m", policy={"name": "p", "version": "1", "digest": "sha256:0"}, signed={}), rules.digest


def bundle_read(world: World, folder: Path, *, resealed: bool) -> object:
    """What the guard asks of a bundle: the seal, and every word derived again."""
    if resealed:
        write_manifest(folder)
    compare_bundle(folder)
    decision = folder / "decision.json"
    named = "sha256:" + "0" * 64
    predicate = {
        "bundle": bundle_digest(folder) if (folder / "manifest.json").exists() else named,
        "decision": digest_file(decision) if decision.exists() else named,
        "name": "support-student", "verdict": "pass", "weights": named, "model": named, "model_files": {}, "tags": {}, "policy": {},
    }  # fmt: skip
    return derive(folder, predicate, Asker(trust=world.trust, received=NOW, at=NOW))


def template_read(template: str) -> object:
    """A chat template rendered as transformers renders it, in kdgov's sandbox."""
    environment = BoundedChatEnvironment(trim_blocks=True, lstrip_blocks=True)
    said = [{"role": "user", "content": "a question"}, {"role": "assistant", "content": "an answer"}]
    return rendered(
        lambda: environment.from_string(template).render(messages=said, bos_token="<s>"), where="model", what="its chat template"
    )


def cases(world: World, scratch: Path, rng: random.Random) -> Iterator[tuple[str, Path | str, Callable[[], object]]]:
    """Endless mutated inputs: (name, what to keep of it, the reading)."""
    declared, documents = list(yaml_cases(world)), list(json_cases(world))
    sealed = sorted(p.relative_to(world.bundle) for p in world.bundle.rglob("*") if p.is_file())
    while True:
        match rng.choice(("yaml", "yaml", "json", "json", "bundle", "template")):
            case "yaml":
                name, source, read = rng.choice(declared)
                file = scratch / source.name
                data = source.read_bytes()
                if rng.random() < 0.5:
                    file.write_text(
                        yaml.safe_dump(mutated_value(yaml.safe_load(data), rng), allow_unicode=True), encoding="utf-8", errors="replace"
                    )
                else:
                    at = rng.randrange(len(data) + 1)
                    file.write_bytes(mutated_bytes(data[:at] + rng.choice((b"", rng.choice(_YAML_ODD))) + data[at:], rng))
                yield name, file, lambda read=read, file=file: read(file)
            case "json":
                name, source, read = rng.choice(documents)
                file = scratch / source.name
                _mutate_json(source, file, rng)
                yield name, file, lambda read=read, file=file: read(file)
            case "bundle":
                folder = scratch / "bundle"
                shutil.rmtree(folder, ignore_errors=True)
                shutil.copytree(world.bundle, folder)
                part = rng.choice(sealed)
                _mutate_json(world.bundle / part, folder / part, rng)
                resealed = rng.random() < 0.8
                yield (
                    f"bundle {part}",
                    folder / part,
                    lambda folder=folder, resealed=resealed: bundle_read(world, folder, resealed=resealed),
                )
            case _:
                text = rng.choice(_TEMPLATES)
                at = rng.randrange(len(text) + 1)
                text = mutated_bytes((text[:at] + rng.choice(("", rng.choice(_TOKENS))) + text[at:]).encode(), rng).decode(
                    "utf-8", "replace"
                )
                yield "chat template", text, lambda text=text: template_read(text)


def _mutate_json(source: Path, file: Path, rng: random.Random) -> None:
    data = source.read_bytes()
    if source.suffix == ".json" and rng.random() < 0.6:
        try:
            file.write_text(json.dumps(mutated_value(json.loads(data), rng)), encoding="utf-8", errors="surrogatepass")
            return
        except (ValueError, RecursionError, OverflowError):
            pass
    file.write_bytes(mutated_bytes(data, rng))


def fault_of(read: Callable[[], object]) -> str:
    """What is wrong with how an input was taken; empty where it was read or refused in plain words."""
    began = time.process_time()
    try:
        read()
    except KdgovError as error:
        # Control characters in it are made visible where it is printed (`kdgov.cli.error_boundary`).
        str(error).encode("utf-8", "backslashreplace")
    except Exception:  # noqa: BLE001 - whatever escapes is what is looked for
        return traceback.format_exc()
    spent = time.process_time() - began
    return f"it took {spent:.1f} s" if spent > LONGEST_S else ""


def main() -> int:
    """Fuzz for a while; 1 where something escaped, each kind told once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=None, help="Folder for inputs that something escaped on.")
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    rng, tried, found = random.Random(given.seed), 0, {}
    counts: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="kdgov-fuzz-") as folder:
        root, scratch = Path(folder), Path(folder) / "scratch"
        scratch.mkdir()
        world = World(root / "world")
        began = time.monotonic()
        for name, what, read in cases(world, scratch, rng):
            if time.monotonic() - began > given.seconds:
                break
            tried += 1
            counts[name.split()[0]] = counts.get(name.split()[0], 0) + 1
            if fault := fault_of(read):
                kind = fault.strip().splitlines()[-1][:100] + (fault.strip().splitlines()[-3] if fault.count("\n") > 3 else "")
                if kind not in found:
                    found[kind] = f"{name}\n{fault}"
                    if given.keep is not None:
                        given.keep.mkdir(parents=True, exist_ok=True)
                        kept = given.keep / f"{len(found)}-{name.replace(' ', '-').replace('/', '-')}"
                        kept.write_bytes(what.read_bytes() if isinstance(what, Path) else what.encode("utf-8", "replace"))
    sys.stdout.write(f"{tried} inputs, {len(found)} kinds of fault; {counts}\n")
    for fault in found.values():
        sys.stdout.write(f"\n--- {fault}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
