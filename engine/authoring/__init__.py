"""For who writes policies: tests, explanations, formatting and lint, all by the path that serves calls."""
