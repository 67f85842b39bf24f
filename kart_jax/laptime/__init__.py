"""The minimum lap time of a kart on a circuit, by search through the simulator.

`search` evolves (`evolution`) the numbers of a plan (`variation`) by the laps that are driven with
them (`problem`, `flying_lap`), and proves what it has found in a drive from the grid
(`verification`).
"""
