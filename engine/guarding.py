"""Placeholder of the branch: comes with the detectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.detecting import Detector, Hit


class Vault:
    def restored(self, text: str) -> str:
        return text


class Redacted:
    text: str
    hits: Sequence[Hit]
    blocked: str


class Redaction:
    def __init__(self, detectors: Sequence[tuple[Detector, str, str]], longest: int = 512) -> None: ...
    def whole(self, text: str, vault: Vault | None = None, json: bool = False) -> Redacted:
        raise NotImplementedError

    def masked(self, text: str, hits: Sequence[Hit]) -> str:
        raise NotImplementedError

    def guard(self, vault: Vault | None = None) -> Any:
        raise NotImplementedError


class Blocked(Exception):
    type = ""
