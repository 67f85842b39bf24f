"""One kart's eye in its world: what every stage of the picture is drawn from."""

import chex
import jax
from flax import struct

from kart_jax.render import camera as cameras
from kart_jax.render.camera import Camera
from kart_jax.render.scene import CellGrid, Scene, cell_grid
from kart_jax.render.types import Appearance, Pose, ViewConfig


class Viewpoint(struct.PyTreeNode):
    """An eye, the circuit around it, and how both look."""

    scene: Scene
    grid: CellGrid  # where in the scene the kart's own circuit lies
    camera: Camera
    appearance: Appearance  # with every colour times the light


def viewpoint(
    scene: Scene, track: chex.Array, pose: Pose, appearance: Appearance, config: ViewConfig
) -> Viewpoint:
    """Place one kart's eye on circuit `track` (() int32) and put the light on the colours."""
    lit = jax.tree.map(lambda leaf: leaf * appearance.light if leaf.ndim else leaf, appearance)
    return Viewpoint(
        scene=scene,
        grid=cell_grid(scene, track),
        camera=cameras.place(pose, lit, config),
        appearance=lit,
    )
