"""What finds in texts what must not pass, one file for each."""
