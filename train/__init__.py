"""Learning to drive: PPO on the device, runs, checkpoints and evaluation."""
