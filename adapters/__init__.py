"""What faces the outside: wire dialects, providers, sinks, transports."""
