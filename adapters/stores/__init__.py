"""Where entities and spend are kept, one file or package each."""
