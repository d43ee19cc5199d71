"""Credentials found in everyday forms and published formats, and false alarms: ``python -m tests.benchmarks.secrets``.

Values are drawn, so that no real key stands here. `MORE_FORMS` was written before it was first tried (42 of 55 were found); commands,
headers and connection strings were added to the detector after that.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from kdgov.checks.pii.identifiers import find_identifiers
from kdgov.checks.pii.match import SECRETS
from kdgov.checks.pii.secret_rules import _declared, entropy, in_python, rule_names, rule_of
from tests.benchmarks.coverage import REAL
from tests.checks.random_matches import random_match

LETTERS, HEX = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "0123456789abcdef"
PACKAGES = ("transformers", "mlflow", "lm_eval", "fairlearn", "pandera", "pandas", "sklearn")
EVERY = 12
"""Every so manieth file of a package is read."""


def more_forms(seed: int = 77) -> list[str]:
    """Fifty-five further forms in which people leave credentials."""
    rng = random.Random(seed)

    def a(n: int) -> str:
        return "".join(rng.choices(LETTERS, k=n))

    def h(n: int) -> str:
        return "".join(rng.choices(HEX, k=n))

    return [
        "POSTGRES_PASSWORD=Wint3r!2024",
        "export DB_PASS=qw8!kLz0",
        "set MYSQL_PWD=r4inb0w77",
        "spring.datasource.password=Zx81!lamp",
        "  password: 'b1ueBird$7'",
        "    value: s3cretVa1ue9   # password",
        "db:\n  user: app\n  passwd: n0tSoSafe4",
        'password = "c0rrectHorse!"',
        "pwd: T3stP@ss9",
        '"db_password": "Gl4dOs!55"',
        f"'api_secret': '{a(32)}'",
        f"auth_token = '{a(40)}'",
        f"ACCESS_TOKEN={a(40)}",
        f"apikey={h(32)}",
        f"API-KEY: {a(36)}",
        f"Authorization: Basic YWRtaW46{a(16)}",
        f"Authorization: Bearer {a(40)}",
        f"curl -H 'X-Auth-Token: {a(32)}' https://x.org",
        "curl -u admin:Zeta99Pass https://x.org/api",
        "mysql -u root -pS3cr3tPw9 mydb",
        "PGPASSWORD=Om3ga!77 psql -h db",
        "sqlserver://sa:Str0ng!Pass@db:1433;database=x",
        "jdbc:postgresql://db/app?user=a&password=N1ghtOwl8",
        "Server=db;Database=x;User Id=sa;Password=Str0ng!Pw1;",
        "redis://default:Rk29vLq0pz@h:6379",
        "mongodb://root:ex4mpl3Pw@mongo:27017/admin",
        "amqps://svc:Qm77zzTop@mq.host/vh",
        f"https://x-token-auth:{a(24)}@bitbucket.org/t/r.git",
        f"https://oauth2:glpat-{a(20)}@gitlab.com/g/p.git",
        "ldap://cn=admin:L0ngPa55@ldap.host",
        f"aws_secret_access_key = {a(40)}",
        f"AWS_ACCESS_KEY_ID=ASIA{''.join(rng.choices('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', k=16))}",
        f"DefaultEndpointsProtocol=https;AccountName=x;AccountKey={a(86)}==;EndpointSuffix=core.windows.net",
        f"SharedAccessSignature=sv=2022-11-02&sig={a(43)}%3D",
        f'"private_key_id": "{h(40)}"',
        f'"private_key": "-----BEGIN PRIVATE KEY-----\\n{a(64)}\\n-----END PRIVATE KEY-----\\n"',
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{a(70)}\n-----END OPENSSH PRIVATE KEY-----",
        f"GH_TOKEN=github_pat_{a(22)}_{a(59)}",
        f"//registry.npmjs.org/:_authToken=npm_{a(36)}",
        f"SLACK_WEBHOOK=https://hooks.slack.com/services/T{a(8).upper()}/B{a(8).upper()}/{a(24)}",
        f"stripe.api_key = 'rk_live_{a(24)}'",
        f"MAILGUN_API_KEY=key-{h(32)}",
        f"mailchimp: {h(32)}-us12",
        f"DO_TOKEN=dop_v1_{h(64)}",
        f"LINEAR=lin_api_{a(40)}",
        f"NOTION_TOKEN=secret_{a(43)}",
        f"MISTRAL_API_KEY={a(32)}",
        f"REPLICATE_API_TOKEN=r8_{a(37)}",
        f"COHERE_API_KEY={a(40)}",
        f"DJANGO_SECRET_KEY='{a(50)}'",
        "machine api.host login bot password Hj82kkLp",
        f"SENTRY_AUTH_TOKEN=sntrys_{a(120)}",
        f"kubeconfig:\n    client-key-data: {a(80)}",
        "docker login -u me -p Vb67!trex reg.host",
        f"htpasswd: bob:$apr1${a(8)}${a(22)}",
    ]


def finds(text: str) -> bool:
    """Whether a line of settings is said to hold a credential."""
    return any(hit.kind in SECRETS for hit in find_identifiers(f"# settings\n{text}\n".encode()))


def formats(seed: int = 0) -> tuple[int, list[str]]:
    """How many of the published formats there are, and those of which a drawn string is missed."""
    rng, missed = random.Random(seed), []
    names = rule_names()
    for name in names:
        rule, declared = rule_of(name), _declared()[name]
        for _ in range(40):
            text = random_match(in_python(declared["regex"]), rng)
            found = rule.pattern.search(text.encode())
            if found and entropy(text.encode()[slice(*rule.secret_of(found))]) >= rule.entropy:
                break
        if not finds(f"key = {text}"):
            missed.append(name)
    return len(names), missed


def code_and_prose() -> Iterator[tuple[str, bytes]]:
    """Code of the interpreter's library and of installed packages, and prose where it is at hand: none holds a key."""
    library = Path(json.__file__).parents[1]
    yield from (("Python's library", path.read_bytes()) for path in sorted(library.glob("*.py")) if not path.name.startswith("test"))
    for name in PACKAGES:
        found = importlib.util.find_spec(name)
        if found is not None and found.origin is not None:
            paths = [path for path in sorted(Path(found.origin).parent.rglob("*.py")) if "test" not in path.as_posix()]
            yield from (("installed packages", path.read_bytes()) for path in paths[::EVERY])
    if REAL.is_dir():
        yield "prose", gzip.decompress((REAL / "wikitext2/test.txt.gz").read_bytes())
        yield "prose", gzip.decompress((REAL / "tinystories/stories.jsonl.gz").read_bytes())
        yield "prose", gzip.decompress((REAL / "gsm8k/train.jsonl.gz").read_bytes())


def main() -> int:
    """Print the table; the exit code is 1 when a target was missed."""
    from tests.checks.test_secrets import _everyday

    out = sys.stdout.write
    out("| | found | target |\n|---|--:|--:|\n")
    everyday, more = _everyday(), more_forms()
    count, missed = formats()
    rows = [("everyday forms", len(everyday), sum(map(finds, everyday)), 0.9), ("further forms", len(more), sum(map(finds, more)), 0.9)]
    rows.append(("formats of gitleaks' rules, drawn", count, count - len(missed), 0.85))
    for name, total, found, target in rows:
        out(f"| {name} | {found} of {total} | {target:.0%} |\n")
    out("\n| no key in it | MB | false alarms | MB per CPU second |\n|---|--:|--:|--:|\n")
    texts: dict[str, list[bytes]] = {}
    for name, text in code_and_prose():
        texts.setdefault(name, []).append(text)
    is_met = all(found >= target * total for _, total, found, target in rows)
    for name, parts in texts.items():
        start = time.process_time()
        alarms = sum(hit.kind in SECRETS for part in parts for hit in find_identifiers(part))
        megabytes = sum(map(len, parts)) / 1e6
        is_met &= alarms <= megabytes
        out(f"| {name} | {megabytes:.1f} | {alarms} | {megabytes / (time.process_time() - start):.1f} |\n")
    return int(not is_met)


if __name__ == "__main__":
    raise SystemExit(main())
