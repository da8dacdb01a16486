"""A guardrail of one's own, written for LiteLLM: a Python class beside the configuration, which runs as it is.

    guardrails:
      - guardrail_name: no-birds
        litellm_params: {guardrail: custom_guardrail.NoBirds, mode: pre_call}     # NoBirds of custom_guardrail.py

or in a policy `detect: [{remote: {type: custom, class: custom_guardrail.NoBirds}}]`. Settings: `class`, `file` (where it is not what
`class` says), `guardrail_name`, `mode`, `default_on`; all others are keyword arguments of the class, beside `guardrail_name`,
`event_hook` (the mode) and `default_on`. The file is run once as long as it stays as it is, and anew by the load after a change.

Asked are `async_pre_call_hook` (mode `pre_call`), `async_moderation_hook` (`during_call`) and `async_post_call_success_hook`
(`post_call`), else `apply_guardrail`, in both of its forms; of what comes back where there is only
`async_post_call_streaming_iterator_hook` or `async_post_call_streaming_hook`, that. Each call is shown to them once on its way out
and once on its way back, as a copy. What has effect is what they do about texts: a text that they change is changed, an exception
that they raise (or a text that they return) refuses. What else they change, add or take away has none; its names are logged once.
A stream is shown at its end, as one text.

Source: docs.litellm.ai/docs/proxy/guardrails/custom_guardrail.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from adapters.remotes.custom import facts, kit, loading
from adapters.remotes.custom.hooks import Hooks
from adapters.remotes.custom.thread import HooksThread, apart
from engine.asking import answered
from engine.contracts import Deps
from engine.detecting import Finding, Question
from engine.slots import INPUT, OUTPUT

FOLDER = "config_folder"
"""The setting by which the engine says where the configuration is."""
KEPT = 1_000
"""Instances kept."""
THREAD = HooksThread()
_OWN = ("type", "class", "file", FOLDER, "guardrail_name", "mode", "default_on")
_lock = threading.Lock()
_instances: OrderedDict[bytes, tuple[loading.Program, Hooks]] = OrderedDict()


class Custom:
    """The detector `custom`: asks the hooks of one instance, which lives as long as its file and its settings stay the same."""

    def __init__(self, settings: Mapping[str, Any], deps: Deps) -> None:
        del deps
        dotted, file = _text(settings, "class"), _text(settings, "file")
        folder = _text(settings, FOLDER) or "."
        if not dotted.isascii() or not all(part.isidentifier() for part in dotted.split(".")) or "." not in dotted:
            raise ValueError("class: write file.Class, such as `custom_guardrail.MyGuardrail` of custom_guardrail.py")
        self._hooks = apart(lambda: _kept(loading.load(folder, dotted, file), settings))
        self.sides = frozenset(
            side for side, hooks in ((INPUT, self._hooks.before), (OUTPUT, self._hooks.after)) if hooks
        )

    async def ask(self, question: Question) -> Sequence[Finding]:
        """Return what the hooks say of all texts: each may have another in its place, or all are refused."""
        side = OUTPUT if answered(question) else INPUT
        if not question.texts or side not in self.sides:
            return [Finding()] * len(question.texts)
        back = side == OUTPUT
        whole = facts.whole(question, answered=back)
        return await THREAD.run(lambda: self._hooks.ask(question, whole, answered=back))


def _kept(loaded: loading.Loaded, settings: Mapping[str, Any]) -> Hooks:
    """Return the hooks of these settings: those that were made of the same files, else new ones."""
    key = msgspec.json.encode((str(loaded.path), dict(settings)))
    with _lock:
        before = _instances.pop(key, None)
        hooks = before[1] if before is not None and before[0] is loaded.program else _made(loaded, settings)
        _instances[key] = loaded.program, hooks
        while len(_instances) > KEPT:
            _instances.popitem(last=False)
        return hooks


def _made(loaded: loading.Loaded, settings: Mapping[str, Any]) -> Hooks:
    made, mode = loaded.made, settings.get("mode")
    guardrail = str(settings.get("guardrail_name") or made.__name__)
    more = {name: value for name, value in settings.items() if name not in _OWN}
    given = {"guardrail_name": guardrail, "event_hook": mode, "default_on": bool(settings.get("default_on")), **more}
    chosen = kit.OURS if "litellm" in loaded.program.offered else kit.installed()
    try:
        try:
            instance = made(**given)
        except RuntimeError as error:
            if "event loop" not in str(error):
                raise
            instance = THREAD.make(lambda: made(**given))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a user's class raises is told
        secrets = [value for value in more.values() if isinstance(value, str) and len(value) >= 6]
        raise ValueError(
            f"class: {loading.told(error, loaded.path, secrets)}; mend it, or what its settings say"
        ) from None
    return Hooks(instance, chosen, guardrail, _modes(mode), loaded.path)


def _modes(mode: Any) -> list[str]:
    """List the modes that are written; of those by tag all that are for any."""
    if isinstance(mode, Mapping):
        return [one for written in (*(mode.get("tags") or {}).values(), mode.get("default")) for one in _modes(written)]
    return [str(one) for one in mode] if isinstance(mode, list) else [] if mode is None else [str(mode)]


def _text(settings: Mapping[str, Any], name: str) -> str:
    value = settings.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{name}: write a text")  # noqa: TRY004 - of what is written
    return value
