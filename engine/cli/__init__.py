"""The command line: each file is one command, found by its name."""
