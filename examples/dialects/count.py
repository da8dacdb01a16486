"""Read a saved stream as the gateway reads it: what it says and what it used.

    python examples/dialects/count.py anthropic examples/dialects/anthropic.sse

A dialect (`anthropic`, `cohere`, `gemini`) is a file of adapters/dialects and needs nothing else of the gateway, so that
a new one can be tried on saved bytes before anything serves it.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from adapters.dialects.anthropic import Anthropic  # noqa: E402 - an example also runs where nothing is installed
from adapters.dialects.cohere import Cohere  # noqa: E402
from adapters.dialects.gemini import Gemini  # noqa: E402
from engine.frames import Frames, split  # noqa: E402

DIALECTS = {"anthropic": Anthropic, "cohere": Cohere, "gemini": Gemini}


def main() -> None:
    """Print the texts of a stream, by their channel, then its usage."""
    dialect = DIALECTS[sys.argv[1]]()
    relay = Frames(dialect)
    stream = relay.feed(Path(sys.argv[2]).read_bytes()) + relay.end()
    texts: dict[str, str] = {}
    for frame in split(stream):
        for slot in dialect.texts(frame):
            texts[slot.channel] = texts.get(slot.channel, "") + slot.text
    for channel, text in texts.items():
        print(f"{channel}: {text}")
    if relay.usage is not None:
        print(f"input {relay.usage.input}, output {relay.usage.output}")


if __name__ == "__main__":
    main()
