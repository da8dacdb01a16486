"""Credentials: `{secrets: all}`, or a list of families (`[AWS_ACCESS_KEY, PRIVATE_KEY]`); masked as `[REDACTED]`.

Found by the forms that issuers give their keys, by private key blocks, tokens, passwords in addresses, and by what is
assigned to a name that speaks of a password.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from adapters.detectors.secrets.assignments import assigned
from adapters.detectors.secrets.carriers import carried
from adapters.detectors.secrets.formats import families
from adapters.detectors.secrets.services import named
from engine.scanning import Scanner


class Secrets(Scanner):
    """Finds credentials; raises ValueError for families that it does not know."""

    __slots__ = ()
    mask = "[REDACTED]"

    def __init__(self, said: Any) -> None:
        every = (*families(), *carried(), *named(), *assigned())
        chosen = _families(said, list(dict.fromkeys(rule.type for rule in every)))
        super().__init__([rule for rule in every if rule.type in chosen])


def _families(listed: Any, known: Sequence[str]) -> Sequence[str]:
    if listed == "all":
        return known
    if not isinstance(listed, Sequence) or isinstance(listed, str) or not listed:
        raise ValueError(f"secrets: write `all`, or a list of some of {', '.join(known)}")
    chosen = [str(one).upper() for one in listed]
    for one in chosen:
        if one not in known:
            close = difflib.get_close_matches(one, known, n=1)
            raise ValueError(
                f"secrets: unknown family `{one}`; {f'did you mean `{close[0]}`?' if close else f'known are {known}'}"
            )
    return chosen
