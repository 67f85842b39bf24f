"""The acceptance checks of the physics, by subject; `benchmarks/physics_table.py` prints them."""
