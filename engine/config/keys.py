"""The keys of LiteLLM's configuration: which are known, and which are in force.

`NOT_IN_FORCE` is the one list of what is understood and not yet built: whoever builds a thing deletes its line.
A key is known when a spec has a field for it or it stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engine.config.problems import Kind, Path

F: Final[Kind] = "feature"
L: Final[Kind] = "limit"
G: Final[Kind] = "guardrail"

_ENTITY: Final[Mapping[str, Kind]] = {
    "tpm_limit_type": F,
    "rpm_limit_type": F,
    "policies": G,
    "prompts": F,
    "permissions": F,
    "object_permission": F,
    "access_group_ids": F,
    "allowed_passthrough_routes": F,
    "allowed_vector_store_indexes": F,
    "router_settings": F,
    "spend": F,
    "send_invite_email": F,
}

AMONG: Final[Mapping[str, frozenset[str]]] = {"callbacks": frozenset({"detect_prompt_injection", "hide_secrets"})}
"""Of settings that are not in force as a whole, the elements that are."""

NOT_IN_FORCE: Final[Mapping[str, Mapping[str, Kind]]] = {
    "": {
        "policies": G,
        "policy_attachments": G,
        "callback_settings": F,
        "callbacks": F,
        "mcp_servers": F,
        "mcp_tools": F,
        "credential_list": F,
        "assistant_settings": F,
        "files_settings": F,
        "finetune_settings": F,
        "default_vertex_config": F,
        "vector_store_registry": F,
        "search_tools": F,
        "agent_list": F,
        "agents": F,
        "prompts": F,
        "plugins": F,
        "sandbox_tools": F,
        "worker_registry": F,
        "classifier_plugin": F,
    },
    "litellm_params": {
        "order": F,
        "cooldown_time": F,
        "litellm_credential_name": F,
        "merge_reasoning_content_in_choices": F,
        "use_in_pass_through": F,
        "configurable_clientside_auth_params": F,
    },
    "general_settings": {
        "allow_client_side_credentials": F,
        "infer_model_from_keys": F,
        "completion_model": F,
        "embedding_model": F,
        "image_generation_model": F,
        "moderation_model": F,
        "database_max_idle_connection_lifetime": F,
        "store_model_in_db": F,
        "disable_spend_logs": F,
        "disable_spend_updates": F,
        "enable_jwt_auth": F,
        "litellm_jwtauth": F,
        "key_management_system": F,
        "key_management_settings": F,
        "maximum_spend_logs_retention_period": F,
        "maximum_spend_logs_retention_interval": F,
        "maximum_spend_logs_cleanup_cron": F,
        "store_prompts_in_spend_logs": F,
        "alerting": F,
        "alerting_threshold": F,
        "alert_types": F,
        "alert_to_webhook_url": F,
        "alerting_args": F,
        "spend_report_frequency": F,
        "background_health_checks": F,
        "health_check_interval": F,
        "health_check_details": F,
        "health_check_concurrency": F,
        "use_shared_health_check": F,
        "enforce_user_param": F,
        "enforced_params": F,
        "reject_clientside_metadata_tags": F,
        "user_header_mappings": F,
        "allowed_ips": L,
        "use_x_forwarded_for": F,
        "allowed_routes": L,
        "public_routes": F,
        "admin_only_routes": F,
        "max_response_size_mb": F,
        "custom_auth": F,
        "custom_key_generate": F,
        "custom_sso": F,
        "custom_ui_sso_sign_in_handler": F,
        "custom_auth_run_common_checks": F,
        "allow_requests_on_db_unavailable": F,
        "proxy_batch_write_at": F,
        "proxy_budget_rescheduler_min_time": F,
        "proxy_budget_rescheduler_max_time": F,
        "proxy_batch_polling_interval": F,
        "proxy_config_reload_interval_seconds": F,
        "use_redis_transaction_buffer": F,
        "user_api_key_cache_ttl": F,
        "user_api_key_cache_max_size": F,
        "forward_client_headers_to_llm_api": F,
        "forward_openai_org_id": F,
        "forward_llm_provider_auth_headers": F,
        "supported_db_objects": F,
        "disable_prisma_schema_update": F,
        "default_team_disabled": F,
        "service_account_settings": F,
        "ui_access_mode": F,
        "disable_master_key_return": F,
        "disable_reset_budget": F,
        "disable_error_logs": F,
        "litellm_license": F,
        "role_permissions": F,
        "oauth2_config_mappings": F,
        "coordination_redis": F,
        "fail_closed_rate_limit_enforcement": F,
        "cancel_on_disconnect": F,
        "max_in_flight_requests_per_worker": F,
        "max_queued_requests_per_worker": F,
        "admission_queue_timeout_seconds": F,
        "use_spend_logs_partitioning": F,
        "include_call_id_in_error_body": F,
        "missing_session_id": F,
        "dangerously_permit_weak_or_unset_master_key": F,
        "enforce_fallback_model_access": F,
    },
    "litellm_settings": {
        "max_internal_user_budget": L,
        "internal_user_budget_duration": L,
        "priority_reservation": L,
        "guardrails": G,
        "force_ipv4": F,
        "modify_params": F,
        "telemetry": F,
        "success_callback": F,
        "failure_callback": F,
        "callbacks": F,
        "prompt_injection_params": F,
        "service_callbacks": F,
        "turn_off_message_logging": F,
        "redact_user_api_key_info": F,
        "redact_messages_in_exceptions": F,
        "log_raw_request_response": F,
        "langfuse_default_tags": F,
        "default_fallbacks": F,
        "fallbacks": F,
        "context_window_fallbacks": F,
        "content_policy_fallbacks": F,
        "cache": F,
        "cache_params": F,
        "check_provider_endpoint": F,
        "default_internal_user_params": F,
        "default_team_params": F,
        "default_team_settings": F,
        "upperbound_key_generate_params": F,
        "default_key_generate_params": F,
        "key_generation_settings": F,
        "store_audit_logs": F,
        "disable_end_user_cost_tracking": F,
        "public_model_groups": F,
        "public_model_groups_links": F,
        "model_group_settings": F,
        "default_redis_ttl": F,
        "max_ui_session_budget": F,
        "require_auth_for_metrics_endpoint": F,
        "prometheus_initialize_budget_metrics": F,
        "custom_prometheus_metadata_labels": F,
        "mcp_aliases": F,
        "custom_provider_map": F,
        "enable_json_schema_validation": F,
        "responses": F,
        "cost_discount_config": F,
        "cost_margin_config": F,
        "enable_key_alias_format_validation": F,
        "alerting": F,
        "alerting_params": F,
    },
    "router_settings": {
        "routing_strategy_args": F,
        "retry_after": F,
        "retry_policy": F,
        "model_group_retry_policy": F,
        "allowed_fails": F,
        "allowed_fails_policy": F,
        "cooldown_time": F,
        "disable_cooldowns": F,
        "enable_pre_call_checks": F,
        "optional_pre_call_checks": F,
        "deployment_affinity_ttl_seconds": F,
        "default_priority": F,
        "default_fallbacks": F,
        "fallbacks": F,
        "context_window_fallbacks": F,
        "content_policy_fallbacks": F,
        "max_fallbacks": F,
        "cache_kwargs": F,
        "caching_groups": F,
        "default_litellm_params": F,
    },
    "virtual_keys": {
        **_ENTITY,
        "allowed_routes": L,
        "config": F,
        "enforced_params": F,
        "allowed_cache_controls": F,
        "key_type": L,
        "auto_rotate": F,
        "rotation_interval": F,
    },
    "teams": {
        **_ENTITY,
        "team_member_key_duration": F,
        "team_member_permissions": F,
        "secret_manager_settings": F,
    },
    "users": {
        **_ENTITY,
        "organizations": F,
        "sso_user_id": F,
        "auto_create_key": F,
        "key_alias": F,
        "duration": F,
        "team_id": F,
    },
    "organizations": _ENTITY,
    "pass_through_endpoints": {"is_from_config": F},
}

STRATEGIES_IN_FORCE: Final = frozenset({"simple-shuffle"})

IN_FORCE: Final = frozenset(
    {
        "model_list",
        "general_settings",
        "litellm_settings",
        "router_settings",
        "environment_variables",
        "include",
        "proxy_settings",
        "virtual_keys",
        "keys",
        "teams",
        "rate_limits",
        "users",
        "organizations",
        "budgets",
        "guardrails",
    }
)
"""The sections of the top level that do something."""

PLACES: Final[Mapping[Path, str]] = {
    (): "",
    ("model_list", "[]", "litellm_params"): "litellm_params",
    ("general_settings",): "general_settings",
    ("litellm_settings",): "litellm_settings",
    ("router_settings",): "router_settings",
    ("litellm_settings", "virtual_keys", "[]"): "virtual_keys",
    ("virtual_keys", "[]"): "virtual_keys",
    ("keys", "[]"): "virtual_keys",
    ("general_settings", "pass_through_endpoints", "[]"): "pass_through_endpoints",
    ("proxy_settings", "teams", "[]"): "teams",
    ("teams", "[]"): "teams",
    ("users", "[]"): "users",
    ("organizations", "[]"): "organizations",
}
"""Where in the file the sections of `NOT_IN_FORCE` are found."""

INFO_AMONG_PARAMS: Final = ("mode", "access_groups", "model_info")
"""What belongs to `model_info` and may also be written under `litellm_params`."""

OPENAI_PARAMS: Final = frozenset(
    """
    temperature top_p top_k n stream stream_options stop max_tokens max_completion_tokens presence_penalty
    frequency_penalty logit_bias logprobs top_logprobs user response_format seed tools tool_choice
    parallel_tool_calls functions function_call reasoning_effort reasoning thinking verbosity modalities audio
    prediction web_search_options service_tier store metadata safety_identifier prompt_cache_key
    prompt_cache_retention extra_body extra_query dimensions encoding_format input_type voice speed language prompt
    quality size style background output_format output_compression moderation instructions include truncation
    max_output_tokens max_tool_calls previous_response_id text min_p repetition_penalty best_of echo suffix
    """.split()  # noqa: SIM905 - a paragraph of words reads better than eighty lines
)
"""Request parameters that may be a deployment's defaults."""

LITELLM_PARAMS: Final = frozenset(
    """
    input_cost_per_token_batches output_cost_per_token_batches model_id api_type hf_model_name ssl_verify headers rate_limit_tokens max_file_size_mb prompt_id
    prompt_variables vector_store_ids caching num_retries use_chat_completions_api use_litellm_proxy
    """.split()  # noqa: SIM905 - a paragraph of words reads better than eighty lines
)
"""What LiteLLM also reads under `litellm_params`; kept as it is."""

PROVIDER_PREFIXES: Final = (
    "aws_",
    "azure_",
    "vertex_",
    "gemini_",
    "google_",
    "bedrock_",
    "sagemaker_",
    "watsonx_",
    "oci_",
    "s3_",
    "gcs_",
    "databricks_",
    "snowflake_",
    "sap_",
)


def provider_key(name: str) -> bool:
    """Whether a key of `litellm_params` belongs to one vendor."""
    return name.startswith(PROVIDER_PREFIXES) or name in {"tenant_id", "client_id", "client_secret", "project_id"}


def kind_at(path: Path) -> Kind | None:
    """Return why what stands at `path` has no effect; None when it is in force."""
    place: Path = ()
    for step in path:
        kind = NOT_IN_FORCE[PLACES[place]].get(str(step)) if place in PLACES else None
        if kind:
            return kind
        place = (*place, "[]" if isinstance(step, int) else step)
    return None
