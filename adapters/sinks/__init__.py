"""Where records go, one file each."""
