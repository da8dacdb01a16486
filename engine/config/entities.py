"""Who may call: keys, teams, users and organizations as a configuration declares them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from engine.config.fields import Amount, Count, Instant, Marked, Names, Price, Spec, Tags, tag_list

Role = Literal[
    "proxy_admin", "proxy_admin_viewer", "org_admin", "internal_user", "internal_user_viewer", "team", "customer"
]


class Limits(Spec):
    """What a key, team, user or organization may use."""

    other_names: ClassVar[Mapping[str, str]] = {"tpm": "tpm_limit", "rpm": "rpm_limit"}

    max_budget: Amount | None = None
    """USD in each `budget_duration`, or for ever."""
    soft_budget: Amount | None = None
    """USD after which to warn."""
    budget_duration: str | None = None
    """`30s`, `30m`, `30h`, `30d` or `1mo`."""
    budget_id: str | None = None
    tpm_limit: Count | None = None
    """Tokens a minute."""
    rpm_limit: Count | None = None
    """Requests a minute."""
    max_parallel_requests: Count | None = None
    model_max_budget: dict[str, Any] = Field(default_factory=dict)
    model_rpm_limit: dict[str, Count] = Field(default_factory=dict)
    model_tpm_limit: dict[str, Count] = Field(default_factory=dict)
    tpm_limit_type: str | None = None
    rpm_limit_type: str | None = None


class BudgetSpec(Limits, Marked):
    """Limits that keys, teams, users, organizations and customers share by naming them in `budget_id`."""

    budget_id: str = Field(min_length=1)


class Entity(Limits, Marked):
    """What keys, teams, users and organizations have in common."""

    models: Names = ()
    """Names, patterns or access groups that may be used; none listed: all."""
    metadata: dict[str, Any] = Field(default_factory=dict, repr=False)
    tags: Tags = ()
    blocked: bool = False
    guardrails: Names = ()
    policies: Names = ()
    prompts: Names = ()
    permissions: dict[str, Any] = Field(default_factory=dict)
    object_permission: dict[str, Any] = Field(default_factory=dict)
    access_group_ids: Names = ()
    allowed_passthrough_routes: Names = ()
    allowed_vector_store_indexes: tuple[Any, ...] = ()
    router_settings: dict[str, Any] = Field(default_factory=dict)
    spend: Amount | None = None

    @classmethod
    def from_wire(cls, written: Mapping[str, Any], **inner: Any) -> Self:
        """Make the spec as written; tags may also stand in `metadata.tags`."""
        metadata = written.get("metadata")
        if isinstance(metadata, dict) and metadata.get("tags") is not None:
            written = {**written, "tags": _joined(written.get("tags"), metadata["tags"])}
        return super().from_wire(written, **inner)


def _joined(tags: Any, more: Any) -> Any:
    """Return both lots of tags, each once; what is not tags is left for validation to refuse."""
    lots = [tag_list(tags or []), tag_list(more)]
    for lot in lots:
        if not isinstance(lot, list):
            return lot
    both = lots[0] + lots[1]
    return [tag for index, tag in enumerate(both) if tag not in both[:index]]


class KeyFields(Entity):
    """What is said of a virtual key, beside what clients send."""

    other_names: ClassVar[Mapping[str, str]] = {**Limits.other_names, "user_role": "role"}

    key_alias: str | None = None
    aliases: dict[str, str] = Field(default_factory=dict)
    """Name asked for -> name meant."""
    user_id: str | None = None
    team_id: str | None = None
    organization_id: str | None = None
    project_id: str | None = None
    agent_id: str | None = None
    role: Role | None = None
    allowed_tags: Names = ()
    """Tags that clients may set on requests with this key."""
    expires: Instant | None = None
    """When the key ends, such as `2030-01-31`; UTC unless it says otherwise."""
    duration: str | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    enforced_params: Names = ()
    allowed_cache_controls: tuple[Any, ...] = ()
    allowed_routes: Names = ()
    """Paths, `/x/*`, or groups such as `llm_api_routes`."""
    key_type: Literal["default", "llm_api", "management", "read_only"] | None = None
    disable_global_guardrails: bool | None = None
    send_invite_email: bool | None = None
    auto_rotate: bool | None = None
    rotation_interval: str | None = None


class KeySpec(KeyFields):
    """One virtual key."""

    other_names: ClassVar[Mapping[str, str]] = {**KeyFields.other_names, "api_key": "key"}

    key: str = Field(min_length=1, repr=False)
    """What clients send, beginning with `sk-`; `os.environ/NAME` keeps it out of the file."""


class TeamSpec(Entity):
    """One team."""

    other_names: ClassVar[Mapping[str, str]] = {**Limits.other_names, "members": "members_with_roles"}

    team_id: str = Field(min_length=1)
    team_alias: str | None = None
    organization_id: str | None = None
    model_aliases: dict[str, str] = Field(default_factory=dict)
    """Name asked for -> name meant, for every key of the team."""
    members_with_roles: tuple[dict[str, Any], ...] = ()
    """`{user_id or user_email, role: admin or user, max_budget_in_team}` each."""
    disable_global_guardrails: bool | None = None
    team_member_budget: Amount | None = None
    team_member_budget_duration: str | None = None
    team_member_rpm_limit: Count | None = None
    team_member_tpm_limit: Count | None = None
    team_member_key_duration: str | None = None
    team_member_permissions: Names = ()
    secret_manager_settings: dict[str, Any] = Field(default_factory=dict, repr=False)


class UserSpec(Entity):
    """One person or service account."""

    other_names: ClassVar[Mapping[str, str]] = {**Limits.other_names, "user_role": "role"}

    user_id: str = Field(min_length=1)
    user_email: str | None = None
    user_alias: str | None = None
    role: Role | None = None
    teams: tuple[Any, ...] = ()
    """Team ids, or `{team_id, max_budget_in_team, user_role}`."""
    organizations: Names = ()
    sso_user_id: str | None = None
    auto_create_key: bool | None = None
    send_invite_email: bool | None = None
    key_alias: str | None = None
    duration: str | None = None
    team_id: str | None = None


class OrganizationSpec(Entity):
    """One organization, above teams."""

    organization_id: str = Field(min_length=1)
    organization_alias: str | None = None


class CustomerSpec(Limits, Marked):
    """One end user: a customer of who calls."""

    other_names: ClassVar[Mapping[str, str]] = {**Limits.other_names, "end_user_id": "user_id"}

    user_id: str = Field(min_length=1)
    alias: str | None = None
    blocked: bool = False
    allowed_model_region: str | None = None
    default_model: str | None = None


Guarded = tuple[str, ...] | dict[str, dict[str, tuple[str, ...]] | None]


class PassThroughSpec(Marked):
    """Requests under a path that go on to another server as they come."""

    path: str = Field(min_length=1)
    """Where clients ask: `/bria`."""
    target: str = Field(min_length=1)
    """The other server's URL; what stands behind `path` is appended to it."""
    id: str | None = None
    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    """Sent with every request; `litellm_user_api_key` names the header that carries the client's key."""
    include_subpath: bool = False
    forward_headers: bool = False
    """Send the client's own headers on, too."""
    merge_query_params: bool = False
    default_query_params: dict[str, str] = Field(default_factory=dict)
    cost_per_request: Price | None = None
    """USD."""
    auth: bool = True
    """Ask for a key of the gateway."""
    methods: tuple[str, ...] = ()
    timeout: Amount | None = None
    """Seconds."""
    guardrails: Guarded = ()
    """Names of guardrails, or each with the `request_fields` and `response_fields` at which it looks: `documents[*].text`."""
