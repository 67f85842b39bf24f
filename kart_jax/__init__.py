"""kart_jax: a karting training simulator that lives on the accelerator."""
