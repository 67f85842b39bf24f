"""What the benchmarks share: a clock, a table, a JSON line, a chart, and what they measure.

`fleet` is a batch of karts to step and `learner` a training run before its first update. Neither is
imported by the others, so that a script starts JAX only when it measures.
"""
