"""The driver's view: tracks and poses to pixels."""
