"""What XLA:CPU needs and nobody else: stages, bounds, approximations, memory."""
