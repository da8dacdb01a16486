"""`interlock`: one command, its parts imported when they are used."""

from __future__ import annotations

import importlib

import click

from engine import __version__

COMMANDS = {
    "serve": "run the gateway",
    "check": "say everything that is wrong with a configuration",
    "test": "run the tests of policies",
    "explain": "say how a call is decided, rule by rule, or how one was",
    "guard": "say what guardrails find in a text, and where",
    "eval": "evaluate one CEL expression",
    "fmt": "write policy files as they should be written",
    "demo": "run the gateway before a bundled upstream and make three calls",
    "schema": "print the JSON Schema of config.yaml, for editors",
    "doctor": "look for what would keep the gateway from running well here",
}


class Commands(click.Group):
    """Imports a sub-command only when it is called, so that each starts fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the sub-commands."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a sub-command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"engine.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the sub-commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands)
@click.version_option(__version__, prog_name="interlock")
def main() -> None:
    """Interlock: a policy-enforcing gateway for language-model traffic."""


if __name__ == "__main__":
    main()
