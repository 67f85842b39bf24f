"""Physics of one kart: parameters, the step and what follows from them."""
