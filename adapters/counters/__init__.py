"""Where counters live, one file each."""
