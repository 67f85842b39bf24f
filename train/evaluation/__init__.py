"""How well a trained driver drives, and which checkpoint of a run is its driver."""
