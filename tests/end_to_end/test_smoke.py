"""The first minute: a gateway without any configuration answers."""

from __future__ import annotations


def test_without_configuration_the_echo_provider_answers(gateway):
    running = gateway()
    key = running.out.split()[-1]
    answer = running.chat("hello brave new world", model="gpt-4o", key=key)
    assert answer.status == 200
    assert answer.json()["choices"][0]["message"]["content"] == "hello brave new world"
    assert answer.json()["usage"] == {"prompt_tokens": 4, "completion_tokens": 4, "total_tokens": 8}


def test_sigterm_drains_and_exits_0(gateway):
    running = gateway()
    assert running.stop() == 0
    assert '"event":"stopped"' in running.log
