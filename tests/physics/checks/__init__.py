"""The acceptance checks of the physics, by subject; `sections` lists them.

`tests/physics/test_physics_table.py` asserts them, `python -m benchmarks.physics_table` prints
them. All of them drive the real `step` or call the very functions it is made of.
"""
