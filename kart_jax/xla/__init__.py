"""What XLA:CPU needs and nobody else; callers use it under neutral names.

XLA compiles our programs for a CPU by other rules than for an accelerator. This page says for each
remedy what it does, why a CPU needs it, what it brought, whether it runs on other devices too, and
when to delete it. All figures are from CPUs and stand in docs/performance.md, under the heading
given here; nothing in this room has been measured on a GPU.

`stage.stage`: a function is compiled on its own.
    Why: XLA:CPU makes a loop of each result and computes in it whatever the result depends on, so
    what several results share is computed several times. `jax.lax.optimization_barrier` does not
    prevent that: it is gone before loops are made. A call that must not be inlined is kept.
    Brought: with `sines` and `bounds` the physics of 1,024 karts went from 123,409 to 248,915
    control steps per second (EPYC, first generation; "A step of the environment"). Whether a kart
    is finite and whether its episode is over (`physics.state`, `env.terminate`) are stages, too:
    every field of the state and every pixel of the frame stack is chosen by them, and each choice
    worked them out anew.
    Elsewhere: off; the function is called as it is.
    Delete when: `python -m benchmarks.env_throughput --parts physics` is as fast without it.

`stage.stored`: a value is computed once, and not again for every pixel made of it.
    Why: as for `stage`, for values that are no function of a few arrays. XLA stores the result of a
    branch unless it knows which branch is taken.
    Brought: it is part of the figure of `stage`; what it does in the view was not measured apart
    ("What XLA does on a CPU").
    Elsewhere: off; an accelerator would have to ask the host which branch to take.
    Delete when: `python -m benchmarks.render` is as fast without it.

`stage.opaque`: what a program closes over is read from memory, as an argument would be.
    Why: XLA folds constants into every loop that reads them; with a large table or many scalars
    folded in, a loop on a CPU is several times slower.
    Brought: a program that closes over an environment is as fast as one that takes it as an
    argument; not in docs/performance.md.
    Elsewhere: on; it adds no operation, and was not measured there.
    Delete when: `python -m benchmarks.env_throughput` is as fast without it.

`stage.compiler_options`: vectors of 512 bits.
    Why: XLA:CPU uses half of such a vector unless told otherwise.
    Brought: a step with the view at 12,539 instead of 10,584 per second (EPYC, fourth generation;
    "The choices in the hot loop", flags). An update of training gains nothing and goes without.
    Elsewhere: no options.
    Delete when: XLA prefers whole vectors by itself
    (`python -m benchmarks.hot_loop --choices view-flags`).

`bounds`: clipping in one instruction for each bound.
    Why: `jnp.minimum`, `jnp.maximum` and `jnp.clip` must return nan from either argument, which
    takes a CPU four or five instructions. Here nan comes out of the first argument only.
    Brought: it is part of the figure of `stage` ("What XLA does on a CPU").
    Elsewhere: on; the same comparison and choice, not measured there.
    Delete when: XLA:CPU compiles `jnp.minimum` to one instruction.

`arithmetic`: conversions, look-ups, quotients and noise in one or two instructions.
    Why: conversions to integers mind nan and overflow, an index may be negative and is clamped, and
    a quotient is stored in memory before a look-up that depends on it. The view does all of that
    for every pixel, and nine tenths of a step are the view.
    Brought: not measured apart ("A step of the environment", the list of what brought most).
    Elsewhere: on; the pictures are the same on every device, the speed is not measured there.
    Delete when: `python -m benchmarks.render` is as fast with the operations of JAX in their place.
    `pack_rgb`, `hashed` and the bit casts belong to the format of a picture and stay.

`sines`: cosine and sine by polynomials.
    Why: XLA:CPU calls the library for one angle at a time; multiplications go eight at a time.
    Brought: it is part of the figure of `stage` ("A step of the environment").
    Elsewhere: on for float32; float64 uses the library, but for small angles. Not measured there.
    Delete when: XLA:CPU computes cosine and sine of float32 in vectors.

`memory.keep_memory`: glibc keeps the memory of results that are dropped.
    Why: XLA:CPU asks for the memory of each result anew, and glibc returns large blocks to the
    system, which clears every page before it hands it out again.
    Brought: 28,216 instead of 19,156 steps with the view per second at 4,096 karts, but 20,414
    instead of 27,987 at 1,024, because threads wait for one another at the one heap (EPYC, fourth
    generation; "A step of the environment", memory that is new each step).
    Elsewhere: without effect, and on a CPU it is left to the user.
    Delete when: XLA:CPU keeps the memory of its results itself.
"""
