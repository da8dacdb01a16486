"""Policy kinds: one file each, its name is the kind's name in YAML."""
