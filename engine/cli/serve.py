"""`interlock serve`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click


@click.command()
@click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path),
    help="LiteLLM's config.yaml; without it the echo provider answers",
)
@click.option("--policies", type=click.Path(path_type=Path), help="directory of policy files, watched")
@click.option(
    "--host", envvar="HOST", help="address to listen on  [default: 0.0.0.0 with a master key, else 127.0.0.1]"
)
@click.option("--port", type=click.IntRange(0, 65535), default=4000, envvar="PORT", show_default=True)
@click.option("--data", type=click.Path(path_type=Path), help="directory of all state  [default: ./interlock-data]")
@click.option("--ephemeral", is_flag=True, help="keep state in a temporary directory")
@click.option(
    "--workers", "--num_workers", type=click.IntRange(1, 256), default=1, envvar="NUM_WORKERS", show_default=True,
    help="processes that share the port; more than one needs Redis",
)  # fmt: skip
@click.option("--drain", default=30.0, show_default=True, help="seconds that calls under way are given to finish")
@click.option(
    "--allow-unenforced", is_flag=True, help="start although the configuration has limits that are not enforced yet"
)
@click.option(
    "--log-format", type=click.Choice(["console", "json"]), help="[default: console on a terminal, else json]"
)
@click.option("--detailed_debug", "--debug", "debug", is_flag=True, help="log more")
def command(  # noqa: PLR0913, PLR0917 - click hands over one argument an option
    config: Path | None, policies: Path | None, host: str | None, port: int, data: Path | None, ephemeral: bool, workers: int,
    drain: float, allow_unenforced: bool, log_format: str | None, debug: bool,
) -> None:  # fmt: skip
    """Run the gateway."""
    import uvloop  # noqa: PLC0415 - `serve --help` does not pay for it

    from engine import logs, serve  # noqa: PLC0415 - `serve --help` does not pay for it
    from engine.data_dir import DataDirError  # noqa: PLC0415 - `serve --help` does not pay for it
    from engine.extensions import kind  # noqa: PLC0415 - `serve --help` does not pay for it
    from engine.sources import Sources, compile_sources  # noqa: PLC0415 - `serve --help` does not pay for it

    sources = Sources(config, policies)
    compiled = compile_sources(sources, os.environ, kind)
    spec = compiled.loaded.spec
    as_json = log_format == "json" or (log_format is None and not sys.stderr.isatty())
    as_json = as_json or (spec is not None and bool(spec.litellm.json_logs))
    logs.configure(as_json=as_json, debug=debug)
    if compiled.errors:
        for problem in compiled.problems:
            click.echo(str(problem), err=True)
        _refuse("the configuration has errors; mend them and start again")
    environ = {**os.environ, **(spec.environment if spec else {})}
    options = serve.Options(sources, host, port, data, ephemeral, allow_unenforced, drain, workers, as_json, debug)
    try:
        uvloop.run(serve.run(compiled, options, environ))
    except (serve.StartError, DataDirError, ValueError) as error:
        _refuse(str(error))


def _refuse(reason: str) -> None:
    click.echo(f"interlock: {reason}", err=True)
    raise SystemExit(2)
