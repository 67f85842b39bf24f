"""A training run: its config and folder, the loop, checkpoints, logs, several hosts."""
