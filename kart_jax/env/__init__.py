"""Reinforcement learning on top of race and render: observation, reward, end, reset."""
