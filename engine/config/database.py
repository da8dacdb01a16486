"""Which store a configuration chooses: PostgreSQL where it, or the environment, names a database, else a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from engine.config.specs import ConfigSpec


def store_settings(spec: ConfigSpec, environ: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Return the name of the store and its settings, of which `sqlite` wants a `path` besides.

    `general_settings.database_url` goes before `DATABASE_URL`, and that before `DATABASE_HOST`, `_PORT`, `_USERNAME`,
    `_PASSWORD`, `_NAME` and `_SCHEMA`. What `environment_variables` declares goes before what the process has.
    """
    known = {**environ, **spec.environment}
    general = spec.general
    url = general.database_url or known.get("DATABASE_URL") or _joined(known)
    if not url:
        return "sqlite", {}
    settings = {
        "url": url,
        "pool_limit": general.database_connection_pool_limit,
        "pool_timeout": general.database_connection_timeout,
        "connect_timeout": general.database_connect_timeout,
        "timeout": general.database_socket_timeout,
        "pgbouncer": general.database_disable_prepared_statements or None,
    }
    return "postgres", {name: value for name, value in settings.items() if value is not None}


def _joined(known: Mapping[str, str]) -> str:
    """Join a URL of its parts, as LiteLLM does; empty without host and name."""
    host, name = known.get("DATABASE_HOST", ""), known.get("DATABASE_NAME", "")
    if not host or not name:
        return ""
    port, schema = known.get("DATABASE_PORT", ""), known.get("DATABASE_SCHEMA", "")
    user = quote(known.get("DATABASE_USERNAME") or known.get("DATABASE_USER", ""), safe="")
    password = quote(known.get("DATABASE_PASSWORD", ""), safe="")
    secret = f"{user}:{password}@" if password else f"{user}@" if user else ""
    where = f"{host}:{port}" if port and ":" not in host else host
    return f"postgresql://{secret}{where}/{quote(name, safe='')}{f'?schema={quote(schema)}' if schema else ''}"
