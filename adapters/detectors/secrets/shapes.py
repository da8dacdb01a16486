"""What tells a secret from what only stands where one could: chance, placeholders, references and words.

The law, here and nowhere else: what has a known form (`AKIA…`) is a secret even where it is documentation's own example, for
nobody can tell that from a live one by looking; only where it has no chance in it (`ghp_xxxx…`) it is none. What is merely
assigned to a name that speaks of a secret is none where it is plainly a reference (`${X}`, `os.environ["X"]`), a placeholder
(`<your key>`, `changeme`, `xxxx`) or made of words.
"""

from __future__ import annotations

import math
import re
from collections import Counter

TYPED = r"(?:\s?:\s?&?(?:'static )?(?:[Ss]tring|str)\b|\s[Ss]tring\b)?"
"""A type between a name and what is assigned to it, in RE2's pattern and in ours."""
UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_REFERENCE = re.compile(
    r"[<\[({]|\\?\$(?:[A-Za-z_]\w*\\?[\"']?$|\d$|[{(\[])|%(?:[A-Za-z_]+%|[({]|[a-z]$)|@[A-Za-z_.]+@|[&*][A-Za-z_.\[\]]+$|\*+$|~/|#\{|!(?:Ref|Sub|GetAtt|vault|secret)|(?i:process\.|os\.|env[.:\[]|environ|getenv|system\.|self\.|this\.|config|settings\."
    r"|secrets?\.|vars?\.|var\.|local\.|data\.|module\.|vault:|ssm:|arn:|op://|ref\+|keyring|file:|https?:|s3:|gs:|urn:|jdbc:|data:|(?:\.{0,2}/)[\w.-]+/|~/|[a-z]:\\)"
    r"|[A-Za-z_][\w.]*[(\[]|[\w.]+\(\)|.*\$\{|.*\{\{|.*%\(|.*<[a-zA-Z]|.*(?:\.\.\.|\x{2026}|\*{3,})".replace(
        r"\x{2026}", "\u2026"
    )
)
_PLACEHOLDER = re.compile(
    r"(?i)(?:.*(?:example|placeholder|change[-_ ]?(?:me|it|this)|your[-_ ]?|redacted|dummy|sample|replace|insert|todo|fixme|foobar|lorem"
    r"|some[-_](?:secret|key|token|pass)|not[-_]?(?:a|real|the)|my[-_]?(?:secret|key|token|pass|api)|fake|mock|x{4,}|\*{3,}|0{8,}|secret[-_]?(?:here|value|key|token)))"
    r"|(?:[a-z]{0,6}[-_]?)(?:0?1234567\d*|abcdef[g-z]*\d{0,4}|qwert\w*)$"
    r"|(?:test|demo)(?:[-_]?(?:key|token|secret|password|pass|pwd|user|value|ing))?[-_\d]{0,4}$"
    r"|(?:true|false|null|none|nil|undefined|string|str|int|bool|boolean|required|optional|password|passwd|secret|token|key|value|admin|root|user|default)\d{0,2}$"
)
_HOST = re.compile(r"(?i)[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::\d+)?(?:/.*)?|[a-z][\w-]*:\d{2,5}")
_VERSION = re.compile(
    r"v?\d+(?:\.\d+)+(?:[-+._].{0,40})?|\w{1,8}\d+\.\d+.*|.*(?:SNAPSHOT|RELEASE)\b.*|\d{4}-\d\d-\d\d.*"
)
_DIGEST = re.compile(r"(?i)(?:sha\d{1,3}|md5|blake2?b?|crc32)[-:=].*")
_KEBAB = re.compile(r"[a-z]+\d{0,3}(?:[-_./:][a-z]+\d{0,3})+")
_CONSTANT = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
_PIECES = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_VOWELS = re.compile(r"[aeiouyAEIOUY]")
_CLUSTER = re.compile(r"(?i)[bcdfghjklmnpqrstvwxz]{5}|[jqvwx][bcdfgjkmpqtvwxz]|q[^u]|([a-z])\1\1")
_NAMED = re.compile(
    r"(?i)passw|pwd|token|secret|key|input|default|value|name|hash|encod|crypt|param|arg|field|config|base64|sha\d|utf"
)
"""What names of code say, of which some end in a digit."""
_SHORTEST = 4
"""Letters from which on a run of them can be a word that says something."""


def entropy(text: str) -> float:
    """Return the Shannon entropy of a text's characters, in bits a character."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values()) if text else 0.0


def random_enough(text: str, least: float) -> bool:
    """Tell whether a text has an entropy, or most of what its length allows."""
    return entropy(text) >= min(least, math.log2(max(2, len(text))) * 0.75)


def mixed(text: str) -> bool:
    """Tell whether a text has both letters and digits."""
    return any(map(str.isdigit, text)) and any(map(str.isalpha, text))


def kinds(text: str) -> int:
    """Return how many there are of: small letters, capitals, digits, other characters."""
    return (
        any(map(str.islower, text))
        + any(map(str.isupper, text))
        + any(map(str.isdigit, text))
        + any(not one.isalnum() for one in text)
    )


def chosen(text: str) -> bool:
    """Tell whether a text is what people take for a password: a word with digits or signs behind it, and no name of code."""
    if _NAMED.search(text) or len(text) < 8 or not mixed(text):
        return False
    return (text.isalnum() and text[-1].isdigit()) or any(one in "!@#$%^*?" for one in text[1:])


def named(text: str) -> bool:
    """Tell whether a text is a name of code by its form: `token-of-app2`, `API_KEY`."""
    if _CONSTANT.fullmatch(text):
        return not any(len(one) > _SHORTEST for one in re.findall(r"\d+", text))
    return _KEBAB.fullmatch(text) is not None and _CLUSTER.search(text) is None


def worded(text: str) -> bool:
    """Tell whether a text is made of words or names of code, maybe numbered: `user_token_2`, `getAccessToken`."""
    if named(text):
        return True
    letters = sum(map(str.isalpha, text))
    numbers = sum(map(str.isdigit, text))
    if not letters or numbers > max(3, letters // 4):
        return False
    said = sum(len(one) for one in _PIECES.findall(text) if len(one) >= _SHORTEST and _speakable(one))
    return said >= 0.6 * letters or (numbers == 0 and letters < 8 and not any(map(str.isupper, text)))


def _speakable(piece: str) -> bool:
    vowels = len(_VOWELS.findall(piece))
    return 0.2 * len(piece) <= vowels <= 0.7 * len(piece) and _CLUSTER.search(piece) is None


def reference(text: str) -> bool:
    """Tell whether a value only says where the secret is, or that one should stand there."""
    return _REFERENCE.match(text) is not None or _PLACEHOLDER.match(text) is not None


def technical(text: str) -> bool:
    """Tell whether a value is an address, a version, a digest or an identifier of something."""
    return any(form.fullmatch(text) for form in (_HOST, _VERSION, _DIGEST))
