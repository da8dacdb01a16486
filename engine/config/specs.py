"""What a configuration says, typed and frozen: the promise between the files and the engine.

Docstrings of fields are what `interlock schema` shows in an editor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from engine.config.entities import BudgetSpec, KeySpec, OrganizationSpec, PassThroughSpec, TeamSpec, UserSpec
from engine.config.fields import (
    Amount,
    Count,
    Duration,
    Marked,
    Names,
    Price,
    Spec,
    Tags,
    TextOrMapping,
    Whole,
    Zone,
    text_or_mapping,
)
from engine.config.keys import provider_key
from engine.config.problems import Mark
from engine.config.redis import RedisSettings

__all__ = [
    "BudgetSpec",
    "ConfigSpec",
    "DeploymentSpec",
    "GeneralSettings",
    "GroupAlias",
    "KeySpec",
    "LitellmParams",
    "LitellmSettings",
    "ModelInfo",
    "OrganizationSpec",
    "PassThroughSpec",
    "Prices",
    "RateLimitSpec",
    "RouterSettings",
    "TeamSpec",
    "UserSpec",
]


class Prices(Spec):
    """What a deployment's tokens, seconds, characters, pictures and queries cost, in USD."""

    input_cost_per_token: Price | None = None
    output_cost_per_token: Price | None = None
    input_cost_per_second: Price | None = None
    output_cost_per_second: Price | None = None
    cache_read_input_token_cost: Price | None = None
    cache_creation_input_token_cost: Price | None = None
    input_cost_per_character: Price | None = None
    output_cost_per_character: Price | None = None
    input_cost_per_image: Price | None = None
    output_cost_per_image: Price | None = None
    input_cost_per_pixel: Price | None = None
    output_cost_per_pixel: Price | None = None
    input_cost_per_query: Price | None = None
    input_cost_per_request: Price | None = None
    input_cost_per_audio_token: Price | None = None
    output_cost_per_audio_token: Price | None = None
    input_cost_per_image_token: Price | None = None
    output_cost_per_image_token: Price | None = None
    output_cost_per_reasoning_token: Price | None = None
    cache_creation_input_token_cost_above_1hr: Price | None = None


class LitellmParams(Prices):
    """How to reach one upstream, and what to send it unless the request says otherwise."""

    other_names: ClassVar[Mapping[str, str]] = {"base_url": "api_base"}
    inner: ClassVar[frozenset[str]] = frozenset({"mark", "defaults", "provider_params"})

    model: str = Field(min_length=1)
    """`provider/model`, such as `openai/gpt-4o`; a `*` takes what the `*` of `model_name` stood for."""
    custom_llm_provider: str | None = None
    """The provider, when the model's name does not begin with it."""
    api_key: str | None = Field(default=None, repr=False)
    """The upstream's key; `os.environ/NAME` keeps it out of the file."""
    api_base: str | None = None
    """The upstream's URL."""
    api_version: str | None = None
    organization: str | None = None
    region_name: str | None = None
    litellm_credential_name: str | None = None
    """A name of `credential_list`, whose values are used."""
    extra_headers: dict[str, str] = Field(default_factory=dict, repr=False)
    """Headers added to every request upstream."""
    timeout: Amount | None = None
    """Seconds a request may take."""
    stream_timeout: Amount | None = None
    """Seconds a streamed request may take."""
    max_retries: Count | None = None
    weight: Amount | None = None
    """The share of this deployment among those of its `model_name`."""
    order: Whole | None = None
    """Deployments of lower order are tried first."""
    tags: Tags = ()
    guardrails: Names = ()
    """Guardrails that look at every call to the model, beside those that are for all."""
    cooldown_time: Amount | None = None
    """Seconds a failing deployment is left alone."""
    rpm: Count | None = None
    """Requests a minute."""
    tpm: Count | None = None
    """Tokens a minute."""
    max_parallel_requests: Count | None = None
    max_budget: Amount | None = None
    """USD in each `budget_duration`."""
    budget_duration: Duration | None = None
    drop_params: bool | None = None
    """Leave out parameters the provider does not know, instead of refusing."""
    additional_drop_params: Names = ()
    """Parameters never sent to this deployment."""
    allowed_openai_params: Names = ()
    """Parameters sent although the provider is not known to take them."""
    mock_response: str | None = None
    """Answer with this text and call nobody."""
    use_in_pass_through: bool | None = None
    merge_reasoning_content_in_choices: bool | None = None
    configurable_clientside_auth_params: tuple[Any, ...] = ()
    allow_link_local: bool = False
    """Let `api_base` be a link-local address, where clouds keep their metadata."""
    echo_delay_ms: Amount = 0
    """Echo provider: wait before the first byte."""
    echo_frame_delay_ms: Amount = 0
    """Echo provider: wait between frames."""
    echo_chunk_chars: Count | None = None
    """Echo provider: characters in a frame."""
    echo_status: Count | None = None
    """Echo provider: answer with this status."""
    echo_tool_call: TextOrMapping | None = None
    """Echo provider: answer with this tool call."""
    provider_params: dict[str, Any] = Field(default_factory=dict, repr=False)
    defaults: dict[str, Any] = Field(default_factory=dict, repr=False)

    @classmethod
    def from_wire(cls, written: Mapping[str, Any], **inner: Any) -> Self:
        """Make the spec of `litellm_params` as written: what has no field is the provider's or the request's."""
        rest = {name: value for name, value in written.items() if name not in cls.named()}
        inner["provider_params"] = {name: value for name, value in rest.items() if provider_key(name)}
        inner["defaults"] = {name: value for name, value in rest.items() if not provider_key(name)}
        return super().from_wire(written, **inner)


class ModelInfo(Prices):
    """What is known of a deployment; any other key is kept and shown."""

    inner: ClassVar[frozenset[str]] = frozenset({"extra"})
    rest: ClassVar[str | None] = "extra"

    id: str | None = Field(default=None, min_length=1)
    """The deployment's id; computed when absent."""
    mode: str | None = None
    """chat, completion, embedding, image_generation, audio_transcription, rerank, responses, ..."""
    base_model: str | None = None
    """The model whose prices apply, for upstreams that name theirs freely."""
    max_tokens: Count | None = None
    max_input_tokens: Count | None = None
    max_output_tokens: Count | None = None
    access_groups: Names = ()
    """Names that keys and teams may list in `models` for this deployment."""
    team_id: str | None = None
    extra: dict[str, Any] = Field(default_factory=dict, repr=False)


def _one_wildcard(name: str) -> str:
    if name.count("*") > 1:
        raise ValueError("more than one `*`: keep one, it takes any text")
    return name


class DeploymentSpec(Marked):
    """One upstream behind a public model name."""

    inner: ClassVar[frozenset[str]] = frozenset({"mark", "id", "params", "info"})

    model_name: Annotated[str, Field(min_length=1), AfterValidator(_one_wildcard)]
    """The name clients ask for; several entries of one name share its load."""
    params: LitellmParams
    info: ModelInfo
    id: str


class RateLimitSpec(Marked):
    """Limits of one public model, for all callers together."""

    model: str = Field(min_length=1)
    rpm: Count | None = None
    """Requests a minute."""
    tpm: Count | None = None
    """Tokens a minute."""


class BudgetShare(Spec):
    """A budget that is nobody's own."""

    other_names: ClassVar[Mapping[str, str]] = {"budget_limit": "max_budget", "time_period": "budget_duration"}

    max_budget: Amount
    """USD in each `budget_duration`, or for ever."""
    budget_duration: Duration | None = None


def _share(value: Any) -> Any:
    """Take the words of provider budgets for those of others."""
    if not isinstance(value, dict):
        return value
    return {BudgetShare.other_names.get(name, name): one for name, one in value.items() if one is not None}


Share = Annotated[BudgetShare, BeforeValidator(_share)]


class GeneralSettings(Spec):
    """The gateway itself."""

    inner: ClassVar[frozenset[str]] = frozenset({"extra"})
    rest: ClassVar[str | None] = "extra"

    master_key: str | None = Field(default=None, repr=False)
    """The administrator's key: `sk-` and 16 characters or more."""
    data_dir: str | None = None
    """Where state is kept; `./interlock-data` when absent."""
    database_url: str | None = Field(default=None, repr=False)
    """The PostgreSQL database that several gateways share: `postgresql://user:password@host:5432/name`."""
    database_connection_pool_limit: Count | None = None
    """Connections that a process has to the database at most; 10 when absent."""
    database_connection_timeout: Amount | None = None
    """Seconds to wait for one of them when all are in use."""
    database_connect_timeout: Amount | None = None
    """Seconds that a new one may take."""
    database_socket_timeout: Amount | None = None
    """Seconds that anything asked of the database may take in all."""
    database_disable_prepared_statements: bool = False
    """Say that there is a pooler between which gives each transaction another connection."""
    max_request_size_mb: Amount = 32
    litellm_key_header_name: str | None = None
    """One more header in which clients may send their key."""
    allow_client_side_credentials: bool = False
    """Let requests bring their own `api_key` and `api_base`."""
    infer_model_from_keys: bool | None = None
    completion_model: str | None = None
    embedding_model: str | None = None
    max_parallel_requests: Count | None = None
    """Calls that a key may have at once if it says nothing of it."""
    global_max_parallel_requests: Count | None = None
    """Calls that all keys together may have at once."""
    token_rate_limit_type: Literal["total", "input", "output"] = "total"  # noqa: S105 - tokens of models, no secret
    """Which tokens `tpm_limit` counts."""
    budget_exceeded_status_code: Annotated[int, Field(ge=400, le=499)] = 400
    """Status of calls that a budget refuses."""
    user_header_name: str | None = None
    """One more header in which clients may say who their end user is."""
    limits_failure_policy: Literal["Fail", "Ignore", "Local"] = "Fail"
    """What becomes of calls while the counters of their limits are away: refused, counted later, or paid from a share held ahead."""
    apply_user_budget_to_team_keys: bool = False
    """Count what a user's keys spend against the user's budget even where a key belongs to a team."""
    extra: dict[str, Any] = Field(default_factory=dict, repr=False)


class LitellmSettings(Spec):
    """How requests are treated."""

    inner: ClassVar[frozenset[str]] = frozenset({"extra"})
    rest: ClassVar[str | None] = "extra"

    drop_params: bool = False
    """Leave out parameters a provider does not know, instead of refusing."""
    request_timeout: Amount = 6000
    """Seconds a request may take."""
    num_retries: Count | None = None
    json_logs: bool | None = None
    set_verbose: bool | None = None
    force_ipv4: bool | None = None
    max_budget: Amount | None = None
    """USD that all keys together may spend in each `budget_duration`, or for ever."""
    budget_duration: Duration | None = None
    tag_budget_config: dict[str, Share] = Field(default_factory=dict)
    """Tag -> `{max_budget, budget_duration}`."""
    timezone: Zone = "UTC"
    """Where the days and months of budgets begin."""
    max_end_user_budget: Amount | None = None
    """USD for each end user without limits of their own."""
    max_end_user_budget_id: str | None = None
    """The same, by a name of `budgets`."""
    extra: dict[str, Any] = Field(default_factory=dict, repr=False)


class GroupAlias(Spec):
    """What another name for a model stands for."""

    model_config = ConfigDict(extra="ignore")

    model: str = Field(min_length=1)
    hidden: bool = False
    """Leave the alias out of model lists."""


def _form(value: Any) -> str:
    return "text" if isinstance(value, str) else "mapping"


AliasTarget = Annotated[
    Annotated[str, Tag("text")] | Annotated[GroupAlias, Tag("mapping")],
    Discriminator(_form),
    BeforeValidator(text_or_mapping),
]


class RouterSettings(Spec):
    """How a deployment is chosen."""

    inner: ClassVar[frozenset[str]] = frozenset({"extra"})
    rest: ClassVar[str | None] = "extra"

    routing_strategy: Literal[
        "simple-shuffle",
        "least-busy",
        "latency-based-routing",
        "usage-based-routing",
        "usage-based-routing-v2",
        "cost-based-routing",
    ] = "simple-shuffle"
    num_retries: Count | None = None
    timeout: Amount | None = None
    stream_timeout: Amount | None = None
    model_group_alias: dict[str, AliasTarget] = Field(default_factory=dict)
    """Alias -> `model_name`, or `{model, hidden}`."""
    enable_tag_filtering: bool | None = None
    """Deployments are chosen by the tags of calls; see `TagRouting`."""
    tag_filtering_match_any: bool | None = None
    provider_budget_config: dict[str, Share] = Field(default_factory=dict)
    """Provider -> `{budget_limit, time_period}`."""
    default_max_parallel_requests: Count | None = None
    """Calls that a deployment may have at once if it says nothing of it."""
    redis_url: str | None = Field(default=None, repr=False)
    """Where processes count together: `redis://` or, over TLS, `rediss://`."""
    redis_host: str | None = None
    redis_port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    redis_username: str | None = None
    redis_password: str | None = Field(default=None, repr=False)
    redis_db: Count | None = None
    redis_ssl: bool | None = None
    redis_timeout_ms: Annotated[float, Field(ge=1, le=60_000)] = 250
    """Milliseconds after which a command of Redis has failed."""
    extra: dict[str, Any] = Field(default_factory=dict, repr=False)


class ConfigSpec(Spec):
    """Everything one configuration file and its includes say."""

    deployments: tuple[DeploymentSpec, ...] = ()
    general: GeneralSettings = Field(default_factory=GeneralSettings)
    litellm: LitellmSettings = Field(default_factory=LitellmSettings)
    router: RouterSettings = Field(default_factory=RouterSettings)
    keys: tuple[KeySpec, ...] = ()
    teams: tuple[TeamSpec, ...] = ()
    users: tuple[UserSpec, ...] = ()
    organizations: tuple[OrganizationSpec, ...] = ()
    budgets: tuple[BudgetSpec, ...] = ()
    rate_limits: tuple[RateLimitSpec, ...] = ()
    pass_through: tuple[PassThroughSpec, ...] = ()
    files: tuple[str, ...] = ()
    environment: dict[str, str] = Field(default_factory=dict, repr=False)
    guardrails: tuple[tuple[dict[str, Any], Mark | None], ...] = ()
    """Policy documents of the `guardrails` section, each with its place."""
    redis: RedisSettings | None = None
    """Where processes count together; None where each counts for itself."""
