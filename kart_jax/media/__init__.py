"""Host side: what a person looks at. Plots of a lap, a map of the circuit, and video of a drive."""
