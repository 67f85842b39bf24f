"""Faces of the environment for other people's learners."""
