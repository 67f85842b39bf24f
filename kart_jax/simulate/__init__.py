"""Drivers and a race become a roll-out: the one loop in which something drives.

`rollout` is the loop itself, pure and differentiable, for whoever measures, searches or draws;
`recording` drives laps from the host and brings telemetry home.
"""
