"""Telemetry: one table of channels, recorded on the device, split into laps and written as CSV or
npz."""
