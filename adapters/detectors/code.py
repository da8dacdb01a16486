r"""Blocks of code in Markdown: `{code: all}`, or of some languages (`{code: [python, bash]}`).

A block is what stands between two fences, or behind one that nothing closes; of a longer one its first 32,768 characters.
Code without a fence is not told from prose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from engine.scanning import Rule, Scanner

BLOCK = 32_768
"""Characters of a block that are looked at."""
NAMES: Mapping[str, str] = {
    "bash": "bash|sh|shell|zsh|console|terminal", "c": "c|h", "c++": r"c\+\+|cpp|cxx|hpp", "c#": "c#|csharp|cs", "css": "css|scss|less",
    "go": "go|golang", "html": "html?|xhtml", "java": "java", "javascript": "javascript|js|jsx|node|mjs", "json": "json[5l]?|jsonc",
    "kotlin": "kotlin|kt", "lua": "lua", "perl": "perl|pl", "php": "php", "powershell": "powershell|ps1|pwsh", "python": r"python[23]?|py|ipython",
    "r": "r", "ruby": "ruby|rb", "rust": "rust|rs", "scala": "scala", "sql": "sql|mysql|pgsql|postgresql|sqlite|tsql|plsql", "swift": "swift",
    "typescript": "typescript|ts|tsx", "xml": "xml|svg", "yaml": "ya?ml",
}  # fmt: skip
_LETTERS = re.compile(r"[a-z0-9#+_-]{1,40}")


class Code(Scanner):
    """Finds blocks of code; raises ValueError for what is no list of languages."""

    __slots__ = ()

    def __init__(self, said: Any) -> None:
        if said in ("all", True):
            super().__init__([_rule("CODE", r"[^\s`]{0,40}")])
            return
        if not isinstance(said, Sequence) or isinstance(said, str) or not said:
            raise ValueError(f"code: write `all`, or a list of languages such as {', '.join(list(NAMES)[:6])}")
        rules = []
        for one in said:
            name = str(one).lower()
            if not _LETTERS.fullmatch(name):
                raise ValueError(f"code: `{one}` names no language")
            known = NAMES.get(name) or name.replace("+", r"\+")
            rules.append(_rule(f"CODE_{name.upper()}", rf"\{{?\.?(?:{known})"))
        super().__init__(rules)


def _rule(kind: str, language: str) -> Rule:
    opened = r"(?i)(?:\A|\n)[ \t>]{0,12}"
    fenced = rf"```[ \t]{{0,3}}{language}(?:[ \t:,{{}}][^\n`]{{0,200}})?\n(?:[^`]|`[^`]|``[^`])*(?:```)?"
    tilded = rf"~~~[ \t]{{0,3}}{language}(?:[ \t:,{{}}][^\n~]{{0,200}})?\n(?:[^~]|~[^~]|~~[^~])*(?:~~~)?"
    return Rule(kind, rf"{opened}({fenced}|{tilded})", group=1, longest=BLOCK, sieve="```|~~~")
