"""LiteLLM's `guardrails:` section, written as the `Guardrail` policies that it means.

What runs here without a service (`litellm_content_filter`, `hide-secrets`, `detect_prompt_injection`) becomes local detectors; the
others ask theirs, and `file.Class` asks a class of the operator's in a file beside the configuration. `mode` says when: `pre_call` and
`during_call` look at what is asked, `post_call` at what is answered, `logging_only` at all of it for the record alone. With
`during_call` services are asked beside the call, and cannot mask; a class is asked before it, and can.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Said = Mapping[str, Any]
PHASES: Mapping[str, tuple[str, ...]] = {
    "pre_call": ("input", "toolCalls", "toolResults"),
    "during_call": ("input", "toolCalls", "toolResults"),
    "post_call": ("output", "toolCalls"),
    "pre_mcp_call": ("input",),
    "during_mcp_call": ("input",),
}
SERVICES = {
    "presidio": "presidio", "openai_moderation": "openai_moderation", "lakera": "lakera", "lakera_v2": "lakera",
    "azure/prompt_shield": "azure_prompt_shield", "azure/text_moderations": "azure_content_safety", "bedrock": "bedrock",
    "model_armor": "model_armor", "generic_guardrail_api": "generic", "llm_as_a_judge": "judge",
}  # fmt: skip
"""LiteLLM's names of what asks a service, and ours."""
CLASS = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+", re.ASCII)
"""`file.Class`, or `folder.file.Class`: a guardrail of the operator's own."""
LONGEST = 60
"""Seconds that a deadline may be; half of them is that of a class which says none, for LiteLLM's has none at all."""
LOGGING = "logging_only"
OWN = frozenset({"guardrail", "mode", "default_on", "guardrail_info"})
PREBUILT = {
    "us_ssn": "US_SSN", "email": "EMAIL_ADDRESS", "phone": "PHONE_NUMBER", "us_phone": "PHONE_NUMBER", "visa": "CREDIT_CARD",
    "mastercard": "CREDIT_CARD", "amex": "CREDIT_CARD", "discover": "CREDIT_CARD", "credit_card": "CREDIT_CARD",
    "ipv4": "IP_ADDRESS", "ipv6": "IP_ADDRESS", "iban": "IBAN_CODE", "passport_us": "US_PASSPORT", "url": "URL",
}  # fmt: skip
"""The content filter's patterns that are personal data; the others are keys of services."""
KEYS = {"aws_secret_key": ["SERVICE_KEY", "PASSWORD"], "generic_api_key": ["SERVICE_KEY", "PASSWORD", "AUTHORIZATION"]}
"""Those of keys that are told by what they are assigned to, and have no name of their own here."""


class NotOursError(ValueError):
    """A guardrail of a type that is not to be had here; the message says which and what there is."""


def document(entry: Said) -> dict[str, Any]:
    """Write one entry as a policy document; raises NotOursError, or ValueError naming what is wrong."""
    params: Said = entry.get("litellm_params") or {}
    if not isinstance(params, Mapping):
        raise ValueError("`litellm_params` must be a mapping, with `guardrail` in it")  # noqa: TRY004 - of what is written
    kind = str(params.get("guardrail") or "")
    phases = _phases(params.get("mode"))
    made: dict[str, Any] = {
        "kind": "Guardrail", "name": str(entry.get("guardrail_name") or kind), "phases": list(phases),
        "optional": not params.get("default_on"), "waivable": bool(params.get("default_on")),
    }  # fmt: skip
    if kind in LOCAL:
        made |= LOCAL[kind](params)
    elif kind in SERVICES:
        said = {name: value for name, value in params.items() if name not in OWN}
        made["detect"] = [{"remote": {"type": SERVICES[kind], **said}}]
        if kind == "presidio":
            made |= _presidio(params, phases)
        if _listed(params.get("mode")) == ["during_call"]:
            made |= {"parallel": True, "action": "block", "restore": False}
    elif CLASS.fullmatch(kind) and phases:
        return made | _custom(params, kind, made["name"])
    else:
        raise NotOursError(
            f"guardrail type `{kind}` is not to be had here{'' if phases else f' for `{LOGGING}`'}; "
            f"there are {', '.join(sorted({*LOCAL, *SERVICES}))}, and file.Class"
        )
    return _observing(made) if LOGGING in _listed(params.get("mode")) or params.get(LOGGING) else made


def legacy(callbacks: Any) -> Iterator[dict[str, Any]]:
    """Write the guardrails that stand among `litellm_settings.callbacks`, and look at every call."""
    for name in _listed(callbacks):
        if name in ("detect_prompt_injection", "hide_secrets"):
            yield document({"litellm_params": {"guardrail": name, "mode": "pre_call", "default_on": True}})


def _observing(made: dict[str, Any]) -> dict[str, Any]:
    """Leave of a guardrail what it looks for: nothing is done about it."""
    detect = [{name: value for name, value in one.items() if name != "action"} for one in made["detect"]]
    kept = {name: made[name] for name in ("kind", "name", "optional", "waivable")}
    return {**kept, "phases": ["log"], "detect": detect}


def _phases(mode: Any) -> tuple[str, ...]:
    if isinstance(mode, Mapping):
        # By tag: whoever may come is looked at by what holds for any of them.
        tags = mode.get("tags") or {}
        mode = [one for written in (*tags.values(), mode.get("default")) for one in _listed(written)]
    wanted = _listed(mode) or ["pre_call"]
    unknown = [one for one in wanted if one not in PHASES and one != LOGGING]
    if unknown:
        raise ValueError(f"mode `{unknown[0]}` is not known; they are {', '.join((*PHASES, LOGGING))}")
    return tuple(dict.fromkeys(phase for one in wanted for phase in PHASES.get(str(one), ())))


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _custom(params: Said, kind: str, name: str) -> dict[str, Any]:
    """Ask a class of the operator's; its settings are all that is written, and its `timeout` is the deadline, too."""
    said = {one: value for one, value in params.items() if one not in {"guardrail", "guardrail_info", "type", "class"}}
    said["mode"] = said.get("mode") or "pre_call"
    seconds: Any = params.get("timeout")
    timed = isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0.001 <= seconds <= LONGEST
    return {
        "detect": [{"remote": {"type": "custom", "class": kind, "guardrail_name": name, **said}}], "action": "mask",
        "timeout": round(seconds, 3) if timed else LONGEST / 2,
    }  # fmt: skip


def _presidio(params: Said, phases: tuple[str, ...]) -> dict[str, Any]:
    scope = params.get("presidio_filter_scope") or params.get("presidio_run_on")
    if scope in ("input", "output", "both"):
        phases = (
            *(PHASES["pre_call"] if scope != "output" else ()),
            *(PHASES["post_call"] if scope != "input" else ()),
        )
    return {"phases": list(dict.fromkeys(phases)), "action": "mask", "restore": bool(params.get("output_parse_pii"))}


def _content_filter(params: Said) -> dict[str, Any]:
    """Write patterns, words and categories, each with its own action."""
    detect: list[dict[str, Any]] = []
    for one in params.get("patterns") or ():
        action = _action(one.get("action"))
        if one.get("pattern_type") == "prebuilt":
            name = str(one.get("pattern_name"))
            detect.append(
                {"pii": [PREBUILT[name]], "action": action}
                if name in PREBUILT
                else {"secrets": KEYS.get(name, [name]), "action": action}
            )
        else:
            detect.append({"pattern": one.get("pattern"), "name": str(one.get("name") or "pattern"), "action": action})
    words = _by_action(params.get("blocked_words") or ())
    detect += [{"keywords": listed, "action": action} for action, listed in words]
    if params.get("blocked_words_file"):
        detect.append({"keywords": {"file": params["blocked_words_file"]}, "action": "block"})
    for one in params.get("categories") or ():
        if one.get("enabled", True):
            detect.append({"categories": [one.get("category")], "action": _action(one.get("action"))})
    if not detect:
        raise ValueError("a content filter needs `patterns`, `blocked_words` or `categories`")
    return {"detect": detect, "status": 403}


def _by_action(words: Any) -> Iterator[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for one in words:
        found.setdefault(_action(one.get("action")), []).append(str(one.get("keyword")))
    yield from found.items()


def _action(written: Any) -> str:
    return "mask" if str(written or "BLOCK").upper() == "MASK" else "block"


def _secrets(params: Said) -> dict[str, Any]:
    del params
    return {"detect": [{"secrets": "all"}], "action": "mask"}


def _injection(params: Said) -> dict[str, Any]:
    del params
    return {"detect": [{"promptInjection": {}}], "action": "block", "message": "this is a prompt injection attack"}


LOCAL: Mapping[str, Callable[[Said], dict[str, Any]]] = {
    "litellm_content_filter": _content_filter,
    "hide-secrets": _secrets,
    "hide_secrets": _secrets,
    "detect_prompt_injection": _injection,
}
