"""Proximal policy optimisation on the device: roll-out, advantages, loss, minibatches, update."""
