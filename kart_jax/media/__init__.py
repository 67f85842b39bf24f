"""What a person looks at: plots of a lap, a map of the circuit, and video of a drive."""
