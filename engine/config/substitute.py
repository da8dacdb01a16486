"""`os.environ/NAME`: values that a configuration takes from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from engine.config.keys import IN_FORCE, kind_at
from engine.config.problems import Findings, Path, kind_of_value

REFERENCE = re.compile(r"os\.environ/([A-Za-z_][A-Za-z0-9_]*)")

NEEDED = frozenset({"api_key", "key", "master_key", "api_base", "base_url", "target", "database_url"})
"""Fields whose loss would change whom we call, who may call or where that is kept."""
SENT = frozenset({"extra_headers", "pass_through_endpoints"})
"""Mappings of which nothing may be lost: what they hold is sent upstream."""


class Environment:
    """The process's variables under those that the file declares; the process's own are never changed."""

    def __init__(self, variables: Mapping[str, str], findings: Findings) -> None:
        self.variables = dict(variables)
        self.declared: dict[str, str] = {}
        self.findings = findings

    def declare(self, section: Any, texts: Mapping[Path, str]) -> None:
        """Take `environment_variables`: in the order of the file, one may refer to those before it."""
        if section is None:
            return
        if not isinstance(section, dict):
            self.findings.error(("environment_variables",), f"expected a mapping, found {kind_of_value(section)}")
            return
        for name, value in section.items():
            path: Path = ("environment_variables", name)
            if isinstance(value, (dict, list)):
                self.findings.error(path, f"expected text, found {kind_of_value(value)}")
                continue
            resolved = self.resolve(value, path)
            if resolved is None:
                continue
            text = texts.get(path) or (str(resolved).lower() if isinstance(resolved, bool) else str(resolved))
            self.variables[name] = self.declared[name] = text

    def resolve(self, value: Any, path: Path) -> Any:
        """Return a value with every reference in it replaced; the value given is left as it is."""
        if isinstance(value, dict):
            return {name: self.resolve(item, (*path, name)) for name, item in value.items()}
        if isinstance(value, list):
            return [self.resolve(item, (*path, index)) for index, item in enumerate(value)]
        if isinstance(value, str) and REFERENCE.search(value):
            return self._text(value, path)
        return value

    def _text(self, text: str, path: Path) -> str | None:
        """Return a text with its references replaced, None when a variable is missing."""
        self.findings.from_environment.add(path)
        missing = [name for name in REFERENCE.findall(text) if name not in self.variables]
        if not missing:
            return REFERENCE.sub(lambda found: self.variables[found[1]], text)
        names = ", ".join(f"`{name}`" for name in dict.fromkeys(missing))
        unset = f"environment variable {names} is not set"
        part = REFERENCE.fullmatch(text) is None
        in_force = path[0] in IN_FORCE and kind_at(path) is None
        if in_force and (part or path[-1] in NEEDED or not SENT.isdisjoint(path)):
            self.findings.error(path, f"{unset}: set it, or remove this line")
        else:
            self.findings.warning(path, f"{unset}, null is used: set it, or remove this line")
        return None
