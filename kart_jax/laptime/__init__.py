"""The minimum lap time of a kart on a circuit, by search through the simulator."""
