"""Two guardrails as LiteLLM's users write them: the file runs as it is, whether LiteLLM is installed or not."""

import re

import litellm
from litellm.integrations.custom_guardrail import CustomGuardrail


class HideTickets(CustomGuardrail):
    """Puts numbers of tickets out of sight before a model sees them."""

    def __init__(self, pattern: str = r"TICKET-\d+", **kwargs) -> None:
        self.pattern = re.compile(pattern)
        super().__init__(**kwargs)

    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        for message in data.get("messages") or ():
            if isinstance(message.get("content"), str):
                message["content"] = self.pattern.sub("<ticket>", message["content"])
        return data


class NoPromises(CustomGuardrail):
    """Refuses answers that promise what nobody can keep."""

    async def async_post_call_success_hook(self, data, user_api_key_dict, response):
        if isinstance(response, litellm.ModelResponse):
            for choice in response.choices:
                if "guaranteed" in (choice.message.content or ""):
                    raise ValueError("no promises")
