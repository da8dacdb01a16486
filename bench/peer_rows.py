"""Other gateways as rows, where `make bench-peers` has put them; what each does and does not do is in bench/README.md."""

import json
import shutil
from pathlib import Path

from bench.site import LeftOutError, Row, Site

PEERS_DIRECTORY = Path(__file__).resolve().parent / "peers"


def _installed(peer: str, *parts: str) -> str:
    path = PEERS_DIRECTORY.joinpath(peer, *parts)
    if not path.exists():
        raise LeftOutError(f"{peer} is not installed (make bench-peers)")
    return str(path)


def litellm_config(site: Site) -> dict[str, object]:
    """Return LiteLLM's configuration: the master key, and the fake provider with a key and prices."""
    return {
        "model_list": [site.model],
        "general_settings": {"master_key": site.master_key},
        "litellm_settings": {"telemetry": False},
    }


def _litellm(name: str, site: Site, port: int) -> list[str]:
    program = _installed("litellm", ".venv", "bin", "litellm")
    config = site.place(name) / "config.yaml"
    # JSON is YAML.
    config.write_text(json.dumps(litellm_config(site), indent=1), encoding="utf-8")
    options = ["--host", "127.0.0.1", "--num_workers", "1", "--telemetry", "False"]
    return [program, "--config", str(config), "--port", str(port), *options]


def _portkey(name: str, site: Site, port: int) -> list[str]:
    del name, site
    program = _installed("portkey", "node_modules", "@portkey-ai", "gateway", "build", "start-server.js")
    node = shutil.which("node")
    if not node:
        raise LeftOutError("Node.js is not installed")
    return [node, program, f"--port={port}", "--headless"]


def _portkey_headers(site: Site) -> dict[str, str]:
    return {"x-portkey-provider": "openai", "x-portkey-custom-host": f"{site.upstream}/v1"}


def envoy_config(site: Site, port: int) -> dict[str, object]:
    """Return Envoy's configuration: every path goes to the fake provider, without access log and without time limit."""
    kinds = "type.googleapis.com/envoy.extensions.filters"
    route = {"match": {"prefix": "/"}, "route": {"cluster": "provider", "timeout": "0s"}}
    relay = {
        "@type": f"{kinds}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{kinds}.http.router.v3.Router"}}
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": relay}]}
    provider = {
        "name": "provider",
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": "provider",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(site.upstream_port)}}]}],
        },
    }
    listener = {"name": "all", "address": _address(port), "filter_chains": [chain]}
    return {"static_resources": {"listeners": [listener], "clusters": [provider]}}


def _address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _envoy(name: str, site: Site, port: int) -> list[str]:
    program = _installed("envoy", ".venv", "bin", "envoy")
    config = site.place(name) / "envoy.json"
    config.write_text(json.dumps(envoy_config(site, port), indent=1), encoding="utf-8")
    # Without hot restart several of them may run on one machine.
    return [program, "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "--log-level", "warn"]


PEERS = {
    "envoy": Row(_envoy),
    "portkey": Row(_portkey, ready="/", every=2, environ={"NODE_ENV": "production"}, headers=_portkey_headers),
    "litellm": Row(
        _litellm,
        ready="/health/liveliness",
        start_seconds=120.0,
        every=8,
        # Its price list from the wheel and not from the network; the other two as its manual says for production.
        environ={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR"},
        keys=lambda site: (site.master_key,),
    ),
}
