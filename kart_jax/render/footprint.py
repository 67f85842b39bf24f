"""The footprint of a pixel on the ground, which says how sharp lines and blocks are drawn."""

import chex

from kart_jax.render.camera import Camera
from kart_jax.render.ground import Ground
from kart_jax.render.raycast import MAX_DISTANCE, Rays
from kart_jax.xla.arithmetic import inverse_root
from kart_jax.xla.bounds import at_least


def footprint(camera: Camera, rays: Rays, point: Ground) -> tuple[chex.Array, chex.Array]:
    """Return one over the footprint's length (P,) in 1/m, across the edge and along the lap.

    With d = F + j R + i D the ray of pixel (i, j), its point is p = h d / -d_z, and

        dp/dj = h / d_z² ((F R_z - R F_z) + i (D R_z - R D_z)),
        dp/di = h / d_z² ((F D_z - D F_z) - j (D R_z - R D_z)),

    whose brackets are fixed for a kart. Across is along the gradient of the edge distance. The
    length of a footprint along an axis is the root of the sum of squares.
    """

    def sides(axis: chex.Array) -> tuple[chex.Array, chex.Array]:
        """Return d_z² / h times the changes (P,) per column and per row along one axis."""
        turn = axis[2] * camera.up[1] - axis[1] * camera.up[2]
        across = axis[0] * camera.up[1] - axis[1] * camera.up[0]
        away = axis[0] * camera.up[2] - axis[2] * camera.up[0]
        return across + rays.i * turn, away - rays.j * turn

    gx, gy, rate = point.edge_x, point.edge_y, point.rate
    (east_j, east_i), (north_j, north_i) = sides(camera.east), sides(camera.north)
    across_j = gx * east_j + gy * north_j
    across_i = gx * east_i + gy * north_i
    along_j = (gy * east_j - gx * north_j) * rate
    along_i = (gy * east_i - gx * north_i) * rate

    fall = rays.ahead * rays.slope
    scale = at_least(fall * fall, (camera.z / MAX_DISTANCE) ** 2) * (1.0 / camera.z)
    sharp_across = inverse_root(across_j * across_j + across_i * across_i + 1e-9) * scale
    sharp_along = inverse_root(along_j * along_j + along_i * along_i + 1e-9) * scale
    return sharp_across, sharp_along
