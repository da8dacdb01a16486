"""Files of hooks, from real directories: what is run, once or anew, what is not, and what is said of what is wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from adapters.remotes.custom import Custom, loading
from engine.detecting import Finding, Question
from tests.running import ROOT

BASE = "from litellm.integrations.custom_guardrail import CustomGuardrail\n"
PRE = "async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):"
RUNS = f"class G(CustomGuardrail):\n    {PRE}\n        "
SAYS = f"{RUNS}return WORD\n"


def custom(folder, dotted="mine.G", **settings):
    return Custom({"class": dotted, "config_folder": str(folder), "mode": "pre_call", **settings}, None)


def wrong(folder, said, text=None, dotted="mine.G", **settings):
    if text is not None:
        (folder / "mine.py").write_text(text)
    with pytest.raises(ValueError, match=re.escape(said)):
        custom(folder, dotted, **settings)


async def refusal(detector):
    (finding,) = await detector.ask(Question("input", ["x"]))
    return finding.refused


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def f(:\n  pass\n", "class: mine.py:1: SyntaxError: invalid syntax; mend it and load again"),
        ("x = 1\n  y = 2\n", "class: mine.py:2: IndentationError: unexpected indent"),
        ("\n\nraise ValueError('no')\n", "class: mine.py:3: ValueError: no; mend it"),
        ("\nimport sys\nsys.exit(3)\n", "class: mine.py:3: SystemExit: 3"),
        ("import litellm.foo\n", "class: mine.py:1: this gateway has no litellm.foo: pip install litellm beside it, or leave it out"),
        ("from litellm import foo\n", "class: mine.py:1: this gateway has no litellm.foo: pip install litellm"),
        ("\nfrom litellm.types.utils import (\n ModelResponse,\n Nothing)\n", "mine.py:2: this gateway has no litellm.types.utils.Nothing"),
        ("from fastapi import FastAPI\n", "class: mine.py:1: this gateway has no fastapi.FastAPI: pip install fastapi"),
        ("import starlette.middleware\n", "class: mine.py:1: this gateway has no starlette.middleware"),
        ("def f():\n    from litellm.proxy.proxy_server import llm_router\n", "mine.py:2: this gateway has no litellm.proxy.proxy_server"),
        ("import litellm\nasync def f():\n    await litellm.acompletion()\n", "mine.py:3: this gateway has no litellm.acompletion"),
        ("import litellm\ntry:\n    litellm.token_counter()\nexcept Exception:\n    pass\n", "mine.py:3: this gateway has no litellm.token_counter"),
        ("import no_such_package_at_all\n", "class: mine.py:1: No module named 'no_such_package_at_all': pip install it beside this gateway; mend it"),
        ("class Other: pass\n", "class: mine.py defines no class `G`; it defines Other"),
        ("G = 7\n", "class: mine.py defines no class `G`; it defines none"),
        (f"{BASE}class G(CustomGuardrail):\n    pass\n", "class: mine.py: `G` would do nothing: in mode pre_call it is asked by none of its hooks (it has none)"),
        (
            f"{BASE}class G(CustomGuardrail):\n    async def async_moderation_hook(self, data, user_api_key_dict, call_type): pass\n",
            "it is asked by none of its hooks (async_moderation_hook)",
        ),
        (f"{BASE}class G(CustomGuardrail):\n    async def async_pre_call_hook(self, request): pass\n", "class: mine.py:3: `async_pre_call_hook` missing a required argument: 'request'; it is given user_api_key_dict"),
        (f"{BASE}class G(CustomGuardrail):\n    def __init__(self):\n        pass\n", "class: mine.py: TypeError: G.__init__() got an unexpected keyword argument"),
        (f"{BASE}class G(CustomGuardrail):\n    def __init__(self, **kw):\n        raise ValueError('bad ' + kw['key'])\n", "class: mine.py:4: ValueError: bad …; mend it, or what its settings say"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_told_with_its_line(tmp_path, text, said):
    wrong(tmp_path, said, text, key="sk-secret-0123")


def test_what_is_wrong_with_the_settings_is_told(tmp_path):
    (tmp_path / "mine.py").write_text(BASE + RUNS + "pass\n")
    for dotted in ("mine", "", ".G", "mine.", "../mine.G", "mi ne.G", "a/b.G", "os.path;x.G"):
        wrong(tmp_path, "class: write file.Class", dotted=dotted)
    wrong(tmp_path, "file: write a text", file=7)
    wrong(tmp_path, f"class: there is no file `{tmp_path}/other.py`: put it there", dotted="other.G")
    wrong(tmp_path, f"file: there is no file `{tmp_path}/there.py`", file="there.py")


def test_only_what_is_beside_the_configuration_is_run(tmp_path):
    inside, outside = tmp_path / "conf", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (outside / "mine.py").write_text(BASE + RUNS + "pass\n")
    (inside / "linked.py").symlink_to(outside / "mine.py")
    for file in ("../out/mine.py", str(outside / "mine.py"), "linked.py", "../conf/../out/mine.py"):
        wrong(inside, f"file: `{file}` is not in the configuration's directory", file=file)
    wrong(inside, "is not in the configuration's directory", dotted="linked.G")


async def test_a_file_may_be_below_have_any_name_and_be_mounted_by_kubernetes(tmp_path):
    (tmp_path / "guards" / "deep").mkdir(parents=True)
    (tmp_path / "guards" / "deep" / "mine.py").write_text(f"WORD = 'deep'\n{BASE}{SAYS}")
    assert await refusal(custom(tmp_path, "guards.deep.mine.G")) == "deep"
    assert await refusal(custom(tmp_path, "any.G", file="guards/deep/mine.py")) == "deep"
    assert await refusal(custom(tmp_path, "any.G", file=str(tmp_path / "guards" / "deep" / "mine.py"))) == "deep"
    (tmp_path / "..data_1").mkdir()
    (tmp_path / "..data_1" / "hooks.py").write_text(f"WORD = 'mounted'\n{BASE}{SAYS}")
    (tmp_path / "..data").symlink_to("..data_1")
    (tmp_path / "hooks.py").symlink_to("..data/hooks.py")
    assert await refusal(custom(tmp_path, "hooks.G")) == "mounted"


async def test_a_file_is_run_once_and_anew_when_it_changes(tmp_path):
    path, count = tmp_path / "mine.py", tmp_path / "count"
    text = f"with open({str(count)!r}, 'a') as file: file.write('x')\nWORD = 'one'\n{BASE}{SAYS}"
    path.write_text(text)
    first = custom(tmp_path)
    again, other = custom(tmp_path), custom(tmp_path, guardrail_name="other")
    assert again._hooks is first._hooks
    assert other._hooks is not first._hooks
    assert count.read_text() == "x"
    path.write_text(text.replace("'one'", "'two'"))
    os.utime(path, ns=(1, 1))
    assert await refusal(custom(tmp_path)) == "two"
    assert await refusal(first) == "one", "what was made before stays as it was"
    assert count.read_text() == "xx"


async def test_a_file_that_is_being_written_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "STILL", 0.05)
    path = tmp_path / "mine.py"
    path.write_text(f"WORD = 'half'\n{BASE}{SAYS}")

    def written():
        time.sleep(0.02)
        path.write_text(f"WORD = 'whole'\n{BASE}{SAYS}")

    writer = threading.Thread(target=written)
    writer.start()
    assert await refusal(custom(tmp_path)) == "whole"
    writer.join()
    monkeypatch.setattr(loading, "ATTEMPTS", 1)
    path.write_text("")
    wrong(tmp_path, "class: mine.py: BlockingIOError: mine.py is being written all the time")


async def test_what_stands_beside_a_file_may_be_imported_and_is_loaded_anew_too(tmp_path):
    (tmp_path / "words.py").write_text("WORD = 'one'\n")
    (tmp_path / "policies.py").write_text("MORE = ' here'\n")
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("from .inner import END\n")
    (tmp_path / "pack" / "inner.py").write_text("from litellm.types.guardrails import GuardrailEventHooks\nEND = '!'\n")
    head = "import words, pack.inner\nfrom pack import END, inner\nfrom policies import MORE\nfrom words import WORD as W\nWORD = W + MORE + END\n"
    (tmp_path / "mine.py").write_text(head + BASE + SAYS)
    assert await refusal(custom(tmp_path)) == "one here!"
    (tmp_path / "words.py").write_text("WORD = 'three'\n")
    assert await refusal(custom(tmp_path)) == "three here!"
    (tmp_path / "words.py").write_text("\nx = y\n")
    wrong(tmp_path, "class: words.py:2: NameError: name 'y' is not defined; mend it")


async def test_a_directory_without_init_holds_files_that_find_each_other(tmp_path):
    (tmp_path / "birdguards" / "deep").mkdir(parents=True)
    (tmp_path / "birdguards" / "words.py").write_text("WORD = 'one'\n")
    (tmp_path / "birdguards" / "deep" / "end.py").write_text("END = '!'\n")
    head = "from birdguards.words import WORD\nimport birdguards.deep.end as end\nfrom .deep.end import END\nfrom . import words\nWORD += end.END + END + words.WORD\n"
    (tmp_path / "birdguards" / "mine.py").write_text(head + BASE + SAYS)
    assert await refusal(custom(tmp_path, "birdguards.mine.G")) == "one!!one"
    (tmp_path / "birdguards" / "mine.py").write_text("from . import nothing\n")
    wrong(tmp_path, "class: mine.py:1: cannot import name 'nothing'", dotted="birdguards.mine.G")
    (tmp_path / "birdguards" / "mine.py").write_text("import birdguards.nothing\n")
    wrong(
        tmp_path,
        "class: mine.py:1: there is no `birdguards.nothing` beside the configuration",
        dotted="birdguards.mine.G",
    )


async def test_nothing_of_ours_is_seen_by_anybody_else(tmp_path):
    (tmp_path / "json.py").write_text("raise ValueError('not this one')\n")
    (tmp_path / "mine.py").write_text(f"import json, litellm, fastapi.exceptions\nWORD = json.dumps([1])\n{BASE}{SAYS}")
    assert await refusal(custom(tmp_path)) == "[1]"
    assert not [name for name in sys.modules if name.partition(".")[0] in {"litellm", "fastapi", "starlette"}]
    with pytest.raises(ImportError):
        import litellm  # noqa: F401, PLC0415 - it is not there


async def test_what_is_tried_or_for_type_checkers_is_no_error(tmp_path):
    head = """
    from __future__ import annotations
    from dataclasses import dataclass, field
    from typing import TYPE_CHECKING, List, Optional
    import litellm
    from litellm.types.guardrails import PiiEntityType, GuardrailEventHooks
    from litellm.types.utils import GenericGuardrailAPIInputs, LLMResponseTypes
    if TYPE_CHECKING:
        from litellm.litellm_core_utils.nowhere import Nothing
    try:
        from litellm.proxy.nowhere import nothing
    except ImportError:
        nothing = None
    def get_config_model():
        from litellm.proxy.nowhere import pages
    litellm.set_verbose = False
    SEEN = (litellm.set_verbose, List[PiiEntityType], Optional[GenericGuardrailAPIInputs], litellm.types.utils.CallTypes)

    @dataclass
    class Setting:
        words: list[str] = field(default_factory=list)

    WORD = 'ok' if nothing is None and Setting().words == [] else ''
    """
    (tmp_path / "mine.py").write_text(textwrap.dedent(head) + BASE + SAYS)
    assert await refusal(custom(tmp_path)) == "ok"


async def test_what_needs_an_event_loop_is_made_on_the_hooks_own(tmp_path):
    text = f"{BASE}import asyncio\nclass G(CustomGuardrail):\n    def __init__(self, **kw):\n        self.loop = asyncio.get_running_loop()\n        super().__init__(**kw)\n    {PRE}\n        return str(self.loop is asyncio.get_running_loop())\n"
    (tmp_path / "mine.py").write_text(text)
    assert await refusal(custom(tmp_path)) == "True"


INSTALLED = {
    "litellm/__init__.py": "class ModelResponse:\n    def __init__(self, **of): self.__dict__.update(of); self.choices = [Choice(one) for one in of['choices']]\n"
    "class Choice:\n    def __init__(self, of): self.message = Message(**of['message'])\n"
    "class Message:\n    def __init__(self, **of): self.__dict__.update(of)\nclass TextCompletionResponse: pass\n",
    "litellm/caching/__init__.py": "",
    "litellm/caching/caching.py": "class DualCache: mark = 'theirs'\n",
    "litellm/proxy/__init__.py": "",
    "litellm/proxy/_types.py": "class UserAPIKeyAuth:\n    def __init__(self, **of): self.mark = 'theirs'\n",
    "litellm/types/__init__.py": "",
    "litellm/types/utils.py": "class ModelResponseStream: pass\n",
    "litellm/integrations/__init__.py": "",
    "litellm/integrations/custom_guardrail.py": "class CustomGuardrail:\n    mark = 'theirs'\n    def __init__(self, **of): pass\n"
    "    async def async_moderation_hook(self, **of): pass\n",
}
DRIVE = """
import asyncio, sys
from adapters.remotes.custom import Custom, loading
from engine.detecting import Question
async def main():
    for side in ("input", "output"):
        made = Custom({"class": "mine.G", "config_folder": sys.argv[1], "mode": ["pre_call", "during_call", "post_call"]}, None)
        print(made._hooks.before, await made.ask(Question(side, ["a plover", "b"])))
asyncio.run(main())
"""


def test_where_litellm_is_installed_it_is_what_hooks_get(tmp_path):
    for name, text in INSTALLED.items():
        (tmp_path / "site" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "site" / name).write_text(text)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "mine.py").write_text(
        f"import litellm\nfrom fastapi import HTTPException\n{BASE}class G(CustomGuardrail):\n    {PRE}\n"
        "        assert self.mark == cache.mark == user_api_key_dict.mark == 'theirs'\n        data['messages'][0]['content'] = '***'\n"
        "    async def async_post_call_success_hook(self, data, user_api_key_dict, response):\n"
        "        assert isinstance(response, litellm.ModelResponse)\n        response.choices[0].message.content = '***'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", DRIVE, str(tmp_path / "conf")], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path / 'site'}"},
    )  # fmt: skip
    wanted = [Finding(replacement="***"), Finding()]
    assert done.stdout.splitlines() == [f"['async_pre_call_hook'] {wanted}"] * 2, done.stderr
