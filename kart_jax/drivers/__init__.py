"""Who drives: the `Driver` protocol, and scripted drivers in pure JAX.

A scripted driver plans a racing line and a speed profile, and follows them.
"""
