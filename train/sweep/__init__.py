"""Many runs of one request: combinations of values, and runs side by side in one program."""
