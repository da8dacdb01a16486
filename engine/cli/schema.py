"""`interlock schema`: what an editor needs to know of `config.yaml` as people write it."""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import click

from engine.config import keys
from engine.config.fields import Spec
from engine.config.specs import (
    BudgetShare,
    BudgetSpec,
    DeploymentSpec,
    GeneralSettings,
    GroupAlias,
    KeySpec,
    LitellmParams,
    LitellmSettings,
    ModelInfo,
    OrganizationSpec,
    PassThroughSpec,
    RateLimitSpec,
    RouterSettings,
    TeamSpec,
    UserSpec,
)

Schema = dict[str, Any]

SECTIONS: Mapping[str, type[Spec]] = {
    "litellm_params": LitellmParams,
    "model_info": ModelInfo,
    "deployments": DeploymentSpec,
    "general_settings": GeneralSettings,
    "litellm_settings": LitellmSettings,
    "router_settings": RouterSettings,
    "virtual_keys": KeySpec,
    "teams": TeamSpec,
    "users": UserSpec,
    "organizations": OrganizationSpec,
    "budgets": BudgetSpec,
    "rate_limits": RateLimitSpec,
    "pass_through_endpoints": PassThroughSpec,
    "GroupAlias": GroupAlias,
    "BudgetShare": BudgetShare,
}
"""The definitions of the schema, under the names of `keys.NOT_IN_FORCE` where they have one."""

_REFERENCE: Schema = {"$ref": "#/$defs/environment"}
_NOT_YET = "accepted, not in force yet"


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of config.yaml, for editors: `# yaml-language-server: $schema=schema.json`."""
    print(json.dumps(config_schema(), indent=2))


def config_schema() -> Schema:
    """Return the JSON Schema of a configuration file."""
    definitions = {name: _definition(name, spec) for name, spec in SECTIONS.items()}
    definitions["litellm_params"]["properties"] |= _among_params(definitions["model_info"])
    definitions["litellm_params"]["patternProperties"] = {
        f"^({'|'.join(keys.PROVIDER_PREFIXES)})": {"description": "the provider's own"}
    }
    definitions["deployments"]["properties"] |= {
        "litellm_params": _ref("litellm_params"),
        "model_info": _ref("model_info"),
    }
    definitions["deployments"]["required"] = ["model_name", "litellm_params"]
    definitions["litellm_settings"]["properties"]["virtual_keys"] = _list("virtual_keys")
    definitions["general_settings"]["properties"]["pass_through_endpoints"] = _list("pass_through_endpoints")
    definitions["environment"] = {
        "type": "string",
        "pattern": "os\\.environ/[A-Za-z_]",
        "description": "taken from an environment variable",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "config.yaml",
        "type": ["object", "null"],
        "properties": _sections(),
        "additionalProperties": True,
        "$defs": definitions,
    }


def _sections() -> Schema:
    """Return the properties of the top level."""
    later = {name: {"description": _NOT_YET} for name in keys.NOT_IN_FORCE[""]}
    return later | {
        "model_list": _list("deployments", "the upstreams, each under a public name"),
        "general_settings": _ref("general_settings"),
        "litellm_settings": _ref("litellm_settings"),
        "router_settings": _ref("router_settings"),
        "environment_variables": _nullable({"type": "object", "description": "variables for `os.environ/NAME`"}),
        "include": {
            "anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}, {"type": "null"}],
            "description": "files merged into this one, relative to it",
        },
        "virtual_keys": _list("virtual_keys"),
        "keys": _list("virtual_keys"),
        "teams": _list("teams"),
        "users": _list("users"),
        "organizations": _list("organizations"),
        "budgets": _list("budgets"),
        "proxy_settings": _nullable({"type": "object", "properties": {"teams": _list("teams")}}),
        "rate_limits": {
            "anyOf": [*_list("rate_limits")["anyOf"], {"type": "object", "additionalProperties": _limits()}],
            "description": "limits by model",
        },
    }


def _definition(name: str, spec: type[Spec]) -> Schema:
    """Return what a spec takes in a file: its fields under every name, and what is known but not yet read."""
    model = spec.model_json_schema(ref_template="#/$defs/{model}")
    later = keys.NOT_IN_FORCE.get(name, {})
    described = _descriptions(spec)
    properties: Schema = {key: {"description": _NOT_YET} for key in later}
    for field, schema in model["properties"].items():
        if field not in spec.inner:
            properties[field] = _as_written(schema, _description(described.get(field, ""), later=field in later))
    for other, field in spec.other_names.items():
        properties[other] = {**properties[field], "description": f"same as `{field}`"}
    required = [field for field in model.get("required", ()) if field not in spec.inner]
    result: Schema = {
        "type": ["object", "null"] if name.endswith("_settings") or name == "model_info" else "object",
        "description": inspect.getdoc(spec) or "",
        "properties": properties,
        "additionalProperties": True,
    }
    if required:
        result["allOf"] = [{"anyOf": [{"required": [key]} for key in _names(spec, field)]} for field in required]
    return result


def _description(text: str, *, later: bool) -> str:
    """Return what an editor shows of a field."""
    return f"{text} ({_NOT_YET})".strip() if later else text


def _names(spec: type[Spec], field: str) -> list[str]:
    """Return every key that gives a field."""
    return [field, *(other for other, name in spec.other_names.items() if name == field)]


def _as_written(schema: Schema, description: str) -> Schema:
    """Return a field's schema as a file may have it: null, or a reference to the environment, will do too."""
    options = schema.get("anyOf") or [
        {key: value for key, value in schema.items() if key not in {"title", "default", "description"}}
    ]
    if not any("string" in str(option.get("type")) and "pattern" not in option for option in options):
        options = [*options, _REFERENCE]
    written = _nullable(*options)
    if schema.get("default") is not None:
        written["default"] = schema["default"]
    return {**written, "description": description} if description else written


def _nullable(*options: Schema) -> Schema:
    present = [option for option in options if option != {"type": "null"}]
    return {"anyOf": [*present, {"type": "null"}]}


def _list(name: str, description: str = "") -> Schema:
    listed = _nullable({"type": "array", "items": _ref(name)})
    return {**listed, "description": description} if description else listed


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _limits() -> Schema:
    """Return the schema of a model's limits where the model is the key."""
    return {
        "type": "object",
        "properties": {name: {"$ref": f"#/$defs/rate_limits/properties/{name}"} for name in ("rpm", "tpm")},
    }


def _among_params(info: Schema) -> Schema:
    """Return what `litellm_params` takes besides its own fields."""
    request: Schema = {"description": "sent with every request that does not say otherwise"}
    kept: Iterable[tuple[str, Schema]] = [(name, {}) for name in keys.LITELLM_PARAMS]
    moved: Schema = {name: info["properties"][name] for name in ("mode", "access_groups")}
    return dict(kept) | dict.fromkeys(sorted(keys.OPENAI_PARAMS), request) | moved | {"model_info": _ref("model_info")}


def _descriptions(spec: type[Spec]) -> dict[str, str]:
    """Return the docstrings of a spec's fields, its parents' included."""
    found: dict[str, str] = {}
    for parent in reversed(spec.__mro__):
        if not issubclass(parent, Spec):
            continue
        module = ast.parse(inspect.getsource(sys.modules[parent.__module__]))
        body = next(
            node.body for node in module.body if isinstance(node, ast.ClassDef) and node.name == parent.__name__
        )
        for field, after in itertools.pairwise(body):
            match field, after:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    found[name] = " ".join(text.split())
    return found
