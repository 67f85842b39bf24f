"""Networks that see and drive, in Flax NNX: encoders, actor and critic, distribution, weights."""
