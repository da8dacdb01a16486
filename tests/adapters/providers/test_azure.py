"""Azure's addresses and credentials."""

from __future__ import annotations

import pytest

from adapters.providers.azure import Azure
from engine.contracts import Deps, Target, Timeouts
from engine.outside import SystemClock

RESOURCE = "https://name.openai.azure.com"
DEPLOYED = "/openai/deployments/my%20gpt"


def endpoint(model: str = "my gpt", environ: dict[str, str] | None = None, **params):
    deps = Deps(SystemClock(), None, None, environ or {})  # type: ignore[arg-type]
    return Azure(deps).endpoint(Target(model, params, Timeouts(), Timeouts()))


def lines(made, task: str = "chat") -> dict[str, str]:
    return dict(line.split(": ", 1) for line in made._requests[task][1].decode().split("\r\n")[:-1])


@pytest.mark.parametrize(
    ("base", "version", "task", "path"),
    [
        (RESOURCE, "2024-02-01", "chat", f"{DEPLOYED}/chat/completions?api-version=2024-02-01"),
        (f"{RESOURCE}/", "2024-02-01", "embeddings", f"{DEPLOYED}/embeddings?api-version=2024-02-01"),
        (RESOURCE, None, "images.generations", f"{DEPLOYED}/images/generations?api-version=2024-10-21"),
        (RESOURCE, None, "audio.transcriptions", f"{DEPLOYED}/audio/transcriptions?api-version=2024-10-21"),
        (RESOURCE, "2025-03-01-preview", "responses", "/openai/responses?api-version=2025-03-01-preview"),
        (RESOURCE, None, "responses", "/openai/v1/responses"),
        (RESOURCE, "preview", "responses", "/openai/v1/responses?api-version=preview"),
        (f"{RESOURCE}/openai/v1", None, "chat", "/openai/v1/chat/completions"),
        (f"{RESOURCE}/openai/v1/?api-version=v1", None, "responses", "/openai/v1/responses?api-version=v1"),
        (f"{RESOURCE}/openai/deployments/g", "2024-02-01", "chat", "/openai/deployments/g/chat/completions?api-version=2024-02-01"),
        (f"{RESOURCE}/openai/deployments/g?api-version=2023-05-15", "2024-02-01", "chat", "/openai/deployments/g/chat/completions?api-version=2023-05-15"),
        ("https://n.services.ai.azure.com/models", "2024-05-01-preview", "chat", "/models/chat/completions?api-version=2024-05-01-preview"),
    ],
)  # fmt: skip
def test_addresses(base, version, task, path):
    assert endpoint(api_base=base, api_version=version)._requests[task][0] == path.encode()


def test_a_version_cannot_add_to_the_query():
    made = endpoint(api_base=RESOURCE, api_version="2024&x=1 #")
    assert made._requests["chat"][0].endswith(b"?api-version=2024%26x%3D1%20%23")


def test_a_key_goes_into_its_header_and_a_token_is_a_bearer():
    keyed, token = (
        endpoint(api_base=RESOURCE, api_key="key-123456"),
        endpoint(api_base=RESOURCE, azure_ad_token="tok-123456"),
    )
    assert lines(keyed)["api-key"] == "key-123456"
    assert "authorization" not in lines(keyed)
    assert lines(token)["authorization"] == "Bearer tok-123456"
    assert (keyed.secrets, token.secrets) == ((b"key-123456",), (b"tok-123456",))


def test_the_environments_key_goes_to_the_environments_resource_only():
    environ = {"AZURE_API_BASE": RESOURCE, "AZURE_API_KEY": "key-env-1", "AZURE_API_VERSION": "2024-06-01"}
    assert lines(endpoint(environ=environ))["api-key"] == "key-env-1"
    assert endpoint(environ=environ)._requests["chat"][0].endswith(b"api-version=2024-06-01")
    assert lines(endpoint(environ=environ, api_base=f"{RESOURCE}/openai/v1"))["api-key"] == "key-env-1"
    for other in (
        "https://name.openai.azure.com.evil",
        "https://other.openai.azure.com",
        "http://name.openai.azure.com:1",
    ):
        assert "api-key" not in lines(endpoint(environ=environ, api_base=other))


def test_without_an_address_it_says_what_to_set():
    with pytest.raises(ValueError, match="api_base: set it, or AZURE_API_BASE"):
        endpoint(environ={"AZURE_API_KEY": "k"})
