"""Telemetry on the host: logs of one kart, their laps and sectors, and their files (CSV, npz).

What a log's columns are says the table of channels in `kart_jax.race.channels`.
"""
