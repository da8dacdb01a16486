"""What the gateway costs, measured beside a bare aiohttp reverse proxy in the same run."""
