"""Everything on one circuit: K karts, placing, stepping, timing."""
