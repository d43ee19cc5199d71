"""Credentials in the middle of a line: flags of commands, headers of requests, parts of connection strings, password hashes."""

from __future__ import annotations

import re
from collections.abc import Iterator

_SECRET_NAME = (
    rb"(?:password|passwd|passphrase|pwd|secret|client_?secret|token|access_?token|auth_?token|api_?key|access_?key|account_?key|"
    rb"shared_?access_?key|sig)"
)
_VALUE = rb"[\"']?(?P<value>[^\s\"'<>;&|,]{6,400})"
_PATTERNS = (
    # Authorization: Bearer …, also as a JSON key or in quotes
    re.compile(
        rb"(?i)authorization[\"']?\s{0,2}[:=]\s{0,2}[\"']?(?:basic|bearer|token|apikey)\s+(?P<value>[A-Za-z0-9._~+/=\-]{16,400})(?![A-Za-z0-9._~+/=\-])"
    ),
    # tool --api-key …, tool --db-password=…
    re.compile(rb"(?i)(?:^|\s)--(?:[a-z]+[_\-])*(?:password|passwd|pass|secret|token|api[_\-]?key|access[_\-]?key)[= ]" + _VALUE),
    # curl -u name:…, wget --user name:…
    re.compile(rb"(?i)\b(?:curl|wget|https?)\b[^\n]{0,200}?\s(?:-u|--user)[ =]?[\"']?[^\s:\"']{1,60}:(?P<value>[^\s\"'@]{4,80})"),
    # mysql -p…, docker login -p …, sshpass -p …, redis-cli -a …
    re.compile(
        rb"\b(?:mysql|mysqldump|mysqladmin|mariadb|sshpass|(?:docker|podman|az|helm|oc)(?: registry)? login|redis-cli|"
        rb"smbclient|ldapsearch)\b"
        rb"[^\n]{0,160}?\s-[paw]\s?[\"']?(?P<value>[^\s\"'\-][^\s\"']{5,80})"
    ),
    # PGPASSWORD=… psql
    re.compile(rb"(?:^|[\s;&])(?:[A-Z][A-Z0-9_]*_?)?(?:PASSWORD|PASSWD|PASS|PWD|SECRET|TOKEN|API_KEY|ACCESS_KEY)=" + _VALUE + rb"(?=\s|$)"),
    # Server=db;User Id=sa;Password=…; and ?user=a&password=…
    re.compile(rb"(?i)[;?&]\s?" + _SECRET_NAME + rb"=" + _VALUE),
    # a line of .netrc
    re.compile(rb"(?i)\bmachine\s+\S+\s+login\s+\S+\s+password\s+(?P<value>\S{4,100})"),
    # hashes of passwords: crypt, bcrypt, Argon2
    re.compile(rb"(?P<value>\$(?:apr1|1|2[aby]|5|6|y|argon2(?:id?|d))\$[./A-Za-z0-9$=,+]{20,200})"),
)
TRIGGERS = (b"authorization", b"curl ", b" -p", b"redis-cli", b"sig=", b"$apr1$", b"$2", b"$6$", b"$5$", b"$argon2")
"""Besides the words that name a secret: lower-cased text without any of these holds none."""


def inline_secrets(line: bytes) -> Iterator[tuple[int, int]]:
    """Where values stand that a command, header or connection string makes a secret, as first byte and one past the last."""
    for pattern in _PATTERNS:
        for match in pattern.finditer(line):
            yield match.span("value")
