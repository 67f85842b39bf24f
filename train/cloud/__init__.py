"""Training on Modal: image, Volume, retried calls, TensorBoard."""
