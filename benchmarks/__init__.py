"""How fast this machine is, and how real the simulator: one script for each question.

    python -m benchmarks.render                      from a checkout
    python -m kart_jax._benchmarks.render            where kart_jax is installed

`kart bench` runs a short version of most of them. What they share is in `measure`, what is chosen
between in `choices`, and the programs that run other people's environments in `peer_envs`.
"""
