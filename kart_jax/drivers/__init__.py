"""Scripted drivers in pure JAX: racing line, speed profile, path follower."""
