# ruff: noqa: RUF001 - texts in Chinese
"""Every family is found in prose, code, YAML and JSON; what only looks like a secret is not. Values are drawn when the tests run."""

from __future__ import annotations

import base64
import json
import random
import re
import string

import pytest

from adapters.detectors.secrets import Secrets, shapes
from adapters.detectors.secrets.formats import FAMILIES
from adapters.detectors.secrets.services import SERVICES
from engine.closure import compiled

EVERY = Secrets("all")
DRAW = random.Random(29)
AROUND = [
    "{}",
    "Use {} please.",
    'const key = "{}";',
    "config:\n  key: {}\n",
    '{{"key": "{}"}}',
    "密钥{}。",
    "line\\n{}",
    "KEY={}\nPORT=80",
]
ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
_CLASS = re.compile(r"\[([^\]]+)\]\{(\d+)(?:,\d+)?\}")


def letters(count: int, alphabet: str = ALNUM) -> str:
    return "".join(DRAW.choices(alphabet, k=count))


def alphabet(written: str) -> str:
    return re.sub(
        r"(.)-(.)", lambda found: "".join(map(chr, range(ord(found[1]), ord(found[2]) + 1))), written.replace("\\", "")
    )


def example(pattern: str) -> str:
    """Draw what a family's pattern matches: the least of each count, the first of each choice."""
    text = pattern.removesuffix(r"\b").replace(r"\|", "!").replace("){1,3}", ")").replace("-?", "")
    while found := re.search(r"\((?:\?i?:)?([^()|]*)(?:\|[^()]*)?\)(\?)?", text):
        text = text[: found.start()] + ("" if found[2] else found[1]) + text[found.end() :]
    text = _CLASS.sub(lambda found: letters(max(int(found[2]), 1), alphabet(found[1])), text)
    text = re.sub(r"\\d\{(\d+)(?:,\d+)?\}", lambda found: letters(int(found[1]), string.digits), text)
    text = re.sub(r"A\{(\d+)(?:,\d+)?\}", lambda found: "A" * int(found[1]), text)
    text = re.sub(r"=\{(\d)(?:,\d)?\}", lambda found: "=" * int(found[1]), text)
    text = re.sub(r"\\d", lambda _: letters(1, string.digits), text)
    text = re.sub(r"\[([^\]]+)\]\??", lambda found: letters(1, alphabet(found[1])), text)
    return text.replace("\\", "").replace("!", "|") if "|" in pattern else text.replace("\\", "")


@pytest.mark.parametrize(
    ("kind", "pattern"), [(name, one) for name, family in FAMILIES.items() for one in family.patterns]
)
def test_known_forms_are_found_in_every_surrounding(kind, pattern):
    for _ in range(4):
        secret = example(pattern)
        assert compiled(pattern).fullmatch(secret), secret
        for around in AROUND:
            text = around.format(secret)
            start = text.index(secret)
            found = [hit for hit in EVERY.find(text) if hit.start <= start and hit.end >= start + len(secret) - 1]
            assert kind in {hit.type for hit in found} or shapes.entropy(secret) < FAMILIES[kind].entropy, text


def test_every_service_is_told_by_its_name():
    for names in SERVICES:
        name = names.split("|")[0]
        form = SERVICES[names].split("|")[0].replace("sl\\.", "")
        secret = example(form).replace(".", "d").replace("-", "e") if "[" in form and "{8}-" not in form else ""
        if shapes.mixed(secret) and not shapes.worded(secret) and shapes.entropy(secret) >= 2.5:
            for text in (
                f"{name.upper()}_API_KEY={secret}",
                f'"{name}_token": "{secret}"',
                f"{name}-secret-key: {secret}\n",
                f"const {name}ApiKey = '{secret}'",
            ):
                assert any(hit.end - hit.start >= len(secret) - 1 for hit in EVERY.find(text)), text


@pytest.mark.parametrize("kind", ["RSA ", "EC ", "DSA ", "OPENSSH ", "ENCRYPTED ", "PGP ", ""])
@pytest.mark.parametrize("line", ["\n", "\\n", "\r\n", '" +\n  "'])
def test_private_keys_of_every_kind_however_lines_are_written(kind, line):
    name = f"{kind}PRIVATE KEY{' BLOCK' if kind == 'PGP ' else ''}"
    block = line.join(
        [f"-----BEGIN {name}-----", *(letters(64, ALNUM + "+/") for _ in range(5)), f"-----END {name}-----"]
    )
    text = f'key = "{block}"; done'
    assert [text[hit.start : hit.end] for hit in EVERY.find(text) if hit.type == "PRIVATE_KEY"] == [block]


def test_other_private_keys():
    putty = f"PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\nPrivate-Lines: 1\n{letters(60)}\nPrivate-MAC: {letters(64, HEX)}"
    packed = base64.b64encode(f"-----BEGIN RSA PRIVATE KEY-----\n{letters(64)}\n-----END".encode()).decode()
    jwk = f'{{"kty": "EC", "d": "{letters(43)}"}}'
    for text in (putty, f"tls.key: {packed}", jwk, f"ETH_PRIVATE_KEY=0x{letters(64, HEX)}"):
        assert any(hit.type == "PRIVATE_KEY" for hit in EVERY.find(text)), text


def token(claims: object) -> str:
    parts = (
        base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in ({"alg": "ES256"}, claims)
    )
    return ".".join([*parts, letters(43)])


def test_signed_tokens():
    told = token({"sub": "1", "name": "x"})
    assert any(hit.type == "JWT" and hit.end == len(told) for hit in EVERY.find(told))
    packed = base64.b64encode(told.encode()).decode()
    assert {hit.type for hit in EVERY.find(f"token {packed}")} & {"JWT"}
    head, claims, mark = told.split(".")
    assert not EVERY.find(f"{head[:-3]}.{claims}.{mark}")
    assert not EVERY.find(f"{head}.{claims[:-4]}!.{mark}")


PASSWORDS = ["Tr0ub4dor&3", "kd92Lsq81", "Gr33nHouse!2", "x9#kLm2pQ"]
ASSIGNED = [
    'password = "{}"', "password: {}", '"password": "{}"', "DB_PASSWORD={}", "export PGPASSWORD={}", "<password>{}</password>", '<add key="Password" value="{}" />', '- name: DB_PASSWORD\n  value: "{}"', "psql --password {} db",
    "run --db-password={}", "mysql -u root -p{} db", "spring.datasource.password={}", 'pwd := "{}"', "'passwd' => '{}'", "my wifi password is {}", "The password for the server is {}.", "密码是{}", "登录口令：{}", "密码改成{}，谢谢", "sshpass -p {} ssh me@host",
    "Server=db;User ID=app;Password={};Encrypt=True", "postgresql://app:{}@db.internal:5432/prod", "redis://:{}@cache:6379/0", "amqp://app:{}@mq", "curl -u app:{} https://api.internal", "machine git.internal login jane password {}", 'setPassword("{}")', '{{\\"password\\": \\"{}\\"}}',
]  # fmt: skip


@pytest.mark.parametrize("written", ASSIGNED)
def test_passwords_where_they_are_written(written):
    for password in PASSWORDS:
        value = password if "://" not in written else password.replace("#", "%23")
        text = written.format(value)
        assert any(text[hit.start : hit.end].strip(".,") == value for hit in EVERY.find(text)), text


KEYED = [
    'api_key = "{}"', "API_TOKEN={}", '"access_token": "{}"', "secret: {}", "client_secret='{}'", 'jwt_secret: "{}"', "--api-key {}", "SECRET_KEY_BASE={}", "X-Api-Key: {}", "Authorization: Bearer {}", "https://api.internal/v1?api_key={}", "API密钥是 {}", "the api key is {}",
    "aws_secret_access_key = {}", "//npm.internal/:_authToken={}", '{{"refresh_token":"{}"}}', "token => '{}'", "AccessKeySecret: {}",
]  # fmt: skip


@pytest.mark.parametrize("written", KEYED)
def test_keys_where_they_are_written(written):
    for count in (20, 32, 40):
        value = letters(count - 2) + "7q"
        text = written.format(value)
        assert any(
            text[hit.start : hit.end].strip(".,") in {value, text} or value in text[hit.start : hit.end]
            for hit in EVERY.find(text)
        ), text


def test_files_of_accounts():
    pair = base64.b64encode(f"jane:{letters(12)}".encode()).decode()
    docker = json.dumps({"auths": {"registry.internal": {"auth": pair}}})
    manifest = f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: x\ndata:\n  user: {base64.b64encode(b'admin').decode()}\n  password: {pair}\n"
    google = json.dumps({"type": "service_account", "private_key_id": letters(40, HEX)})
    for kind, text in (
        ("DOCKER_AUTH", docker),
        ("KUBERNETES_SECRET", manifest),
        ("GOOGLE_SERVICE_ACCOUNT", google),
        ("AUTHORIZATION", f"Authorization: Basic {pair}"),
    ):
        assert kind in {hit.type for hit in EVERY.find(text)}, text


def test_what_documentation_shows_in_a_known_form_is_a_secret():
    for shown in ("AKIA" + "IOSFODNN7EXAMPLE", "ASIA" + "IOSFODNN7EXAMPLE"):
        assert {hit.type for hit in EVERY.find(f"key {shown}")} == {"AWS_ACCESS_KEY"}


DIGEST = letters(64, HEX)
NONE = [
    f"commit {DIGEST[:40]}", f'"integrity": "sha512-{letters(86)}=="', f'"sha256": "{DIGEST}"', f"Digest: sha256:{DIGEST}", f"etag: {DIGEST[:32]}", f"id: {DIGEST[:8]}-{DIGEST[:4]}-{DIGEST[4:8]}-{DIGEST[:4]}-{DIGEST[:12]}",
    f"data:image/png;base64,iVBORw0KGgo{letters(200, ALNUM + '+/')}", "color: #ff00aa", "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC7 jane@host", "api_key=${API_KEY}", 'password = os.environ["DB_PASSWORD1"]', "token: process.env.GITHUB_TOKEN2", "token: ${{ secrets.GITHUB_TOKEN }}",
    'password: "{{ vault_password_1 }}"', "secret: <your-secret-here>", "api_key = 'your-api-key'", "API_KEY=xxxxxxxxxxxxxxxxxxxx", 'password = "********"', "password=changeme", "password: string", "password is required", "token = get_token(user1)", "self.token = token2",
    "api_key=config.get('key1')", "password ||= defaultPassword1", "if (password == oldPassword2)", f"key_id: {DIGEST[:12]}", f"publicKey: {DIGEST[:24]}", f"csrf_token = '{DIGEST[:24]}'", f"NEXT_TOKEN = {DIGEST[:12]}", f"sort_key={DIGEST[:12]}", "keyword: alpha12345", "monkey: banana12345",
    "tokenizer: cl100k_base12", "max_tokens=4096000", "password_file: /run/secrets/db1", "api_version: 2023-03-15-preview", "secret_name: prod-db-2", "secretName: tls-cert-2023", "author: jane1999smith", "auth_url: https://login.x.com/1234abcd", "secretKeyRef: db-secret-1",
    "Authorization: Bearer <token>", "Authorization: Bearer $TOKEN", "https://user:password@example.org", "https://${USER}:${PASS}@host", "curl -u $USER:$PASS https://x", "curl -u <user>:<password> https://x", "the token is 128k", "the secret is out", "secret santa 2023",
    "PASSWORD_RESET_TIMEOUT=259200", "compass=north2south1", "bypass: route1234", "密码长度至少8位", "请输入密码", "('password', 'scram-sha-256')", "gnutls_get_challenge_password(gnutls_x509_crq_t crq)", "(Ed25519PrivateKey, Ed25519PublicKey)", "def test__that_modules_are_found_in_pkg1_of_pkg2():", "def __init__(self, user=None, password=None, port=1):",
]  # fmt: skip


@pytest.mark.parametrize("text", NONE)
def test_what_only_looks_like_a_secret_is_none(text):
    assert not [(hit.type, text[hit.start : hit.end]) for hit in EVERY.find(text)]


def test_no_text_raises():
    pieces = [
        "password=",
        "secret: ",
        "token=",
        "AKIA",
        "ghp_",
        "eyJhbGciOiJIUzI1NiJ9.",
        "://",
        "密码",
        '"auth": "',
        "kind: Secret\ndata:\n",
        "ZXlK",
        "LS0tLS1CRUdJTi",
        "adobe_key=",
        "Password=",
        *"aB3$=:/.-_+\"'\\\n\u212a\u017fé ",
    ]
    for _ in range(400):
        text = "".join(DRAW.choices(pieces, k=60))
        assert all(0 <= hit.start < hit.end <= len(text) for hit in EVERY.find(text))
        assert 0 <= EVERY.pending(text) <= len(text)
