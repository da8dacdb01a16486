"""No message may show a secret, however wrong the place where it was put."""

SECRET = "sk-verysecretverysecret"

TEXTS = (
    f"general_settings: {{master_key: [{SECRET}]}}",
    f"general_settings: {{{SECRET}: 1}}",
    f"keys: [{{api_key: {{{SECRET}: 1}}}}, {{{SECRET}: {{rpm: 1}}}}, {SECRET}]",
    f"keys: [{{api_key: {SECRET}}}, {{api_key: {SECRET}}}]",
    "keys: [{api_key: 5550123}, {key: verysecret}]",
    f"keys: {SECRET}",
    f"keys: {{{SECRET}: {{rpm: 1}}}}",
    f"model_list: [{{model_name: a, litellm_params: {{model: a/b, rpm: {SECRET}}}}}]",
    f"model_list: [{{model_name: a, litellm_params: {{model: a/b, extra_headers: {{Authorization: [{SECRET}]}}}}}}]",
    "model_list: [{model_name: a, litellm_params: {model: a/b, extra_headers: {X-Code: 5550123}}}]",
    f"model_list: [{{model_name: a, litellm_params: {{model: a/b, {SECRET}: 1}}}}]",
    f"{SECRET}: 1\n{SECRET}: 2\n",
    f"a: *{SECRET}",
    f"a: [{SECRET}\n",
)


def test_no_message_shows_a_secret(says):
    for text in TEXTS:
        problems = says(text)
        assert problems, text
        for problem in problems:
            assert "verysecret" not in problem, text
            assert "5550123" not in problem, text


def test_no_representation_shows_a_secret(loads):
    text = f"""
environment_variables: {{A: {SECRET}-env}}
general_settings: {{master_key: {SECRET}, database_url: "postgres://u:{SECRET}@h"}}
keys: [{{api_key: {SECRET}-key}}]
model_list: [{{model_name: a, litellm_params: {{model: a/b, api_key: {SECRET}, aws_secret_access_key: {SECRET}, extra_headers: {{A: {SECRET}}}}}}}]
"""
    loaded = loads(text)
    assert loaded.spec is not None
    assert "verysecret" not in repr(loaded)
