"""What is assigned to a name that speaks of a secret: in code, YAML, JSON, XML, environment files, command lines and prose.

Names say how far a value is trusted: what a password is may be short and half a word, a key has to look drawn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from adapters.detectors.secrets import shapes
from engine.scanning import Rule

LIKELY, TOLD = 0.8, 0.7
"""What an assignment says, and what prose says."""
_KEYED = (
    r"(?:(?:secret|api|app|access|private|auth|account|encryption|encrypt|decryption|signing|signature|master|service|client|admin|shared|session|storage|license|db|database|rsa|aes|hmac|jwt|cookie|webhook|root|deploy|bot|cos|iam|crypt|priv)[_. -]?key"
    r"|secret|token|credentials?|creds|authorization)"
)
_PASSED = r"(?:password|passwd|pass[ _-]?phrase|passwort|passcode|pwd|contrase(?:n|\x{f1})a|mot[_ -]de[_ -]passe|senha|wachtwoord|[_.-]pass|[_.-]pw|userpass|dbpass|\bpass|\x{5bc6}\x{7801}|\x{53e3}\x{4ee4})"
_TAIL = r"(?:[_.-]?(?:base|prod|production|dev|development|staging|stage|test|live|main|default|value|string|text|plain|raw|v?\d{1,3}|old|new|current|[a-z]{2,3}))?"
_QUOTE = r"(?:\\{0,3}[\"'`])"
_OP = (
    r"(?:\s{0,3}(?:=>|->|\?=|\|\|=|:{1,2}=|={1,3}|!={1,2}|:|\x{ff1a}|\|\||>)\s{0,3}"
    r"|\s{1,3}value\s{0,2}=\s{0,2}|,?\s{1,20}[\"']?value[\"']?\s{0,2}[:=]\s{0,2})"
)
_BARE = r"([^\s\"'`,;<>(){}\[\]|&\\\x{3001}-\x{301f}\x{ff00}-\x{ff0f}\x{4e00}-\x{9fff}][^\s\"'`,;<>{}|\\\x{3001}-\x{301f}\x{ff01}-\x{ff0f}\x{4e00}-\x{9fff}]{5,199})"
_CALLED = r"\s{0,2}[,(]\s{0,2}"
"""Between a name and a value in a call: `("password", "…")`, `setPassword("…")`."""
_QUOTED = r"([^\s\"'`<>\\][^\s\"'`<>\\]{5,199})"
_HARMLESS_BEFORE = re.compile(
    r"(?:csrf|xsrf|next|page|paging|continuation|cancell?ation|eos|bos|pad|unk|sep|cls|mask|sync|resume|cursor|public|pub|primary|foreign|partition|sort|cache|max|min|num|max_new|total|prompt|completion|input|output|per|id_?prefix|lex|syntax|turkey|monkey|no|forgot|reset)[_.-]?$"
)
_HARMLESS_NAME = re.compile(
    r"(?:[_.-]?(?:id|ids|name|names|file|path|dir|url|uri|endpoint|type|kind|count|length|len|size|limit|field|label|hint|placeholder|policy|env|var|ref|arn|prefix|suffix|format|pattern|regex|hash|salt|expiry|expires|ttl|age|alias|provider|store|manager|class|header|param|version|status|error|message))+$"
)
_NAMED = re.compile(
    rf"([\w.-]*?)({_KEYED}|{_PASSED})([\w.-]*)[\"'\]\\)]*{shapes.TYPED}$".replace(r"\x{f1}", "\xf1")
    .replace(r"\x{5bc6}\x{7801}", "\u5bc6\u7801")
    .replace(r"\x{53e3}\x{4ee4}", "\u53e3\u4ee4")
)
_ASSIGNS = re.compile(rf"(?i)(?:{_OP}|{_CALLED})@?{_QUOTE}?$".replace(r"\x{ff1a}", "\uff1a"))
_NEAR = 96
"""Characters before a value in which its name is looked for."""
_UUIDS = re.compile(r"(?:api|secret|access|private)[_-]?key|secret|passw")


def assigned() -> Iterator[Rule]:
    """Yield the rules of what is assigned."""
    for name, check in ((_KEYED, _key), (_PASSED, _password)):
        named = rf"(?i)(?:{name}){_TAIL}[\"'\]\\]{{0,4}}"
        typed = named + shapes.TYPED
        for value in (rf"(?:{_OP}|{_CALLED})@?{_QUOTE}{_QUOTED}", _OP + _BARE):
            yield Rule("PASSWORD", typed + value, check, group=1, sieve=named + r"\s{0,20}[=:>,(|?!vsS\x{ff1a}-]")
    yield from _commands()
    yield from _spoken()


def _commands() -> Iterator[Rule]:
    option = r"(?:[a-z-]{0,20}(?:password|passwd|passphrase|pass|pwd|secret|token|api-?key|secret-?key|access-?key|auth-?key))"
    yield Rule(
        "PASSWORD",
        rf"(?i)(?:^|[\s\"'`(=])--?{option}(?:\s{{1,2}}|=){_QUOTE}?([^\s\"'`<>$;|&-][^\s\"'`<>;|]{{5,199}})",
        _option,
        group=1,
        sieve=rf"(?i)(?:^|[\s\"'`(=])--?{option}",
    )
    yield Rule(
        "PASSWORD",
        r"(?i)\b(?:mysql|mysqldump|mysqladmin|mariadb|sshpass|redis-cli|mongo|mongosh|docker login|htpasswd|smbclient|ldapsearch)\b[^\n]{0,120}?\s-(?:p|a|w|pw)\s?[\"']?([^\s\"'`<>$;|&-][^\s\"'`<>;|]{4,99})",
        _option,
        group=1,
        sieve="(?i)mysql|mariadb|sshpass|redis-cli|mongo|docker login|htpasswd|smbclient|ldapsearch",
    )
    yield Rule(
        "BASIC_AUTH",
        r"(?i)\b(?:curl|wget|http|https|xh)\b[^\n]{0,300}?\s(?:-u|--user|--proxy-user|-U|--auth|-a)[ =]\s{0,2}[\"']?[^\s:\"']{0,100}:([^\s\"']{3,100})",
        _option,
        group=1,
        sieve="(?i)-u|--proxy-user|--auth|-a",
    )


def _spoken() -> Iterator[Rule]:
    words = r"(?:password|passphrase|passwd|passcode|pwd|pin|secret(?: key)?|api[ -]?key|access[ -]?key|token|credentials?|login)"
    whose = r"(?:\s(?:for|of|to|on|in|at)\s(?:[\w.@/-]{1,40}\s){0,4}?[\w.@/-]{1,40})"
    yield Rule(
        "PASSWORD",
        rf"(?i)\b{words}(?:(?:{whose})?\s?(?:is|was|are|has been (?:set|changed) to|(?:set|changed|reset) to|should be|will be)\s{{0,2}}:?|{whose}\s?[:=])\s{{0,2}}[\"'`\x{{201c}}]?([^\s\"'`,;<>\x{{201c}}\x{{201d}}]{{6,99}})",
        _said,
        group=1,
        sieve=rf"(?i)\b{words}\s",
    )
    yield Rule(
        "PASSWORD",
        r"(?i)\blog(?:in|on|ged in)?\s(?:with|as|using)\s[\"'`]?[\w.@-]{1,60}[\"'`]?\s{0,2}(?:/|:|and(?: password)?|with(?: password)?)\s{0,2}[\"'`]?([^\s\"'`,;<>]{6,64})",
        _said,
        group=1,
        sieve=r"(?i)\blog(?:in|on|ged)",
    )
    yield Rule(
        "PASSWORD",
        r"(?i)(?:\x{5bc6}\x{7801}|\x{5bc6}\x{78bc}|\x{53e3}\x{4ee4}|\x{5bc6}\x{94a5}|\x{5bc6}\x{9470}|\x{4ee4}\x{724c}|\x{51ed}\x{8bc1}|\x{79d8}\x{94a5}|\x{30d1}\x{30b9}\x{30ef}\x{30fc}\x{30c9}|\x{be44}\x{bc00}\x{bc88}\x{d638})"
        r"[^\n\x{3002}\x{ff0c}\x{ff1b}a-z0-9]{0,12}?(?:\x{662f}|\x{4e3a}|\x{70ba}|\x{6539}\x{6210}|\x{6539}\x{4e3a}|\x{8bbe}\x{4e3a}|\x{8bbe}\x{6210}|\x{8bbe}\x{7f6e}\x{4e3a}|\x{306f}|\x{b294}|\x{c740})?"
        r"\s{0,2}[:\x{ff1a}=]?\s{0,2}[\"'`\x{201c}\x{300c}\x{300e}]?([A-Za-z0-9!@#$%^&*_+=.~?/-]{6,64})",
        _said,
        group=1,
    )


def _named(before: str) -> tuple[str, str, str]:
    """Return what stands before the word that speaks of a secret, that word, and what stands behind it, in small letters."""
    found = _NAMED.search(_ASSIGNS.sub("", before[-_NEAR:]).lower())
    return (found[1], found[2], found[3]) if found else ("", "", "")


def _harmless(before: str, found: str) -> bool:
    """Tell whether a name or a value says that there is no secret."""
    first, word, last = _named(before)
    named = (
        _HARMLESS_BEFORE.search(first)
        or _HARMLESS_NAME.search(last)
        or (word == "token" and first.endswith(("in", "ex", "de")))
    )
    return bool(named) or shapes.reference(found) or shapes.technical(found)


def _called(before: str, value: str) -> bool:
    """Tell whether a value stands in a call, and is not drawn enough for that."""
    return re.search(r"[,(]\s*\\*[\"'`]$", before) is not None and (
        shapes.kinds(value) < 3 or (shapes.worded(value) and not shapes.chosen(value))
    )


def _key(found: str, before: str) -> float:
    """Tell a key from code."""
    value = found.rstrip(".,:)")
    if len(value) < 8 or not shapes.mixed(value):
        return 0.0
    if _harmless(before, value) or shapes.worded(value) or _called(before, value):
        return 0.0
    if shapes.UUID.fullmatch(value):
        return LIKELY if _UUIDS.search(before[-60:].lower()) else 0.0
    return LIKELY if shapes.random_enough(value, 3.0) else 0.0


def _password(found: str, before: str) -> float:
    """Tell a password from code: it has more than one kind of characters, and is no name of code."""
    value = found.rstrip(".,)")
    signed = any(one in "!@#$%^&*?+~" for one in value[1:])
    if len(value) < 6 or not (signed or any(map(str.isdigit, value))):
        return 0.0
    if _harmless(before, value) or _called(before, value):
        return 0.0
    quoted = before[-1:] in {'"', "'", "`"}
    if value.isdigit():
        return LIKELY if shapes.random_enough(value, 2.0) else 0.0
    if shapes.worded(value) and not (quoted and shapes.mixed(value)) and not shapes.chosen(value):
        return LIKELY if signed and shapes.kinds(value) >= 3 else 0.0
    return (
        LIKELY
        if (shapes.mixed(value) or (signed and shapes.kinds(value) >= 2)) and shapes.random_enough(value, 2.5)
        else 0.0
    )


def _option(found: str, _: str) -> float:
    value = found.rstrip(".,)")
    if len(value) < 4 or shapes.reference(value) or shapes.technical(value):
        return 0.0
    drawn = shapes.chosen(value) or not shapes.worded(value)
    return LIKELY if shapes.kinds(value) >= 2 and drawn and shapes.random_enough(value, 2.5) else 0.0


def _said(found: str, _: str) -> float:
    value = found.rstrip(".,!?:)")
    if len(value) < 6 or shapes.reference(value) or shapes.technical(value) or value.lower().startswith("http"):
        return 0.0
    signed = shapes.kinds(value) >= 3 and any(one in "!@#$%^&*?+~" for one in value)
    return TOLD if (shapes.mixed(value) or signed) and shapes.random_enough(value, 2.0) else 0.0
