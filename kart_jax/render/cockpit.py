"""The own kart as its driver sees it: bodywork, front wheels, steering wheel with hands.

Everything stands in the chassis frame (x forward, y left, z up, m, origin on the ground under the
centre of gravity), so only the steering wheel and the front wheels move in the picture. What stands
still is worked out once for all karts that share an `Appearance`; the rest only within the boxes of
the picture where it can be.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from kart_jax.render import bodywork, front_wheel, steering_wheel
from kart_jax.render.camera import Direction, cockpit_rays
from kart_jax.render.paint import Paint
from kart_jax.render.scene import Scene
from kart_jax.render.steering_wheel import Still
from kart_jax.render.types import Appearance, Pose, ViewConfig
from kart_jax.xla.stage import stored

# The eyes for which the boxes of moving parts are made.
EYE_HEIGHTS = (0.77, 0.93)  # m, least and greatest
EYE_PITCHES = (math.radians(9.0), math.radians(15.0))  # rad, the same
EYE_SETBACK = 0.30  # m


class Box(NamedTuple):
    """A part of the picture; rows are counted from `cockpit_row`."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns; none, or less, where the box is empty."""
        return self.bottom - self.top, self.right - self.left

    @property
    def corner(self) -> tuple[int, int]:
        """Row and column of the first pixel."""
        return self.top, self.left

    def is_empty(self) -> bool:
        """Say whether no pixel is in the box."""
        rows, columns = self.shape
        return rows <= 0 or columns <= 0

    def shared_with(self, other: "Box") -> "Box":
        """Return the part that lies in another box, too."""
        return Box(
            max(self.top, other.top),
            min(self.bottom, other.bottom),
            max(self.left, other.left),
            min(self.right, other.right),
        )


@dataclasses.dataclass(frozen=True)
class MovingPart:
    """A part that turns: where it can be, and what paints it."""

    outline: np.ndarray  # (n, 3) m, chassis frame; encloses it at any angle
    meet: Callable[[Direction], Any]  # what is the same for all karts of where rays meet it
    paint: Callable[[Still, Any], Paint]  # puts it over what stands still, given that


def paint(scene: Scene, pose: Pose, appearance: Appearance, config: ViewConfig) -> chex.Array:
    """Paint the own kart for `paint.over`.

    Args:
        scene: for `stored`.
        pose: angles of the steering wheel and the front wheels.
        appearance: colours, eye and body.
        config: optics.

    Returns:
        (height - cockpit_row, width) uint32.
    """
    appearance = appearance.replace(body=front_wheel.bounded(appearance.body))
    rays = cockpit_rays(appearance, config)
    below = bodywork.paint(rays, appearance, config)
    still = steering_wheel.paint_still(below, rays, appearance, config)

    boxes: list[Box] = []
    drawings: list[Callable[[], Paint]] = []
    for box, parts in _regions(_moving(pose, appearance, config), config):
        # What is the same for all karts is kept out of their loop, and the box's rows are laid end
        # to end.
        under, seen = jax.tree.map(partial(_cut, box), (still, rays))
        boxes.append(box)
        drawings.append(partial(_draw, under, [(part, part.meet(seen)) for part in parts]))

    def put_together() -> chex.Array:
        words = still.paint.packed()
        for box, drawn in zip(boxes, painted, strict=True):
            words = jax.lax.dynamic_update_slice(words, drawn.reshape(box.shape), box.corner)
        return words

    painted = stored(scene.first[0], lambda: [draw().packed() for draw in drawings])
    return stored(scene.first[0], put_together)


def _regions(
    parts: list[MovingPart], config: ViewConfig
) -> list[tuple[Box, tuple[MovingPart, ...]]]:
    """Return the boxes in which something moves, and the parts to paint there, one over the other.

    They are the box of each part, and then what two of them share: there both are painted.
    """
    single = [(_box(part.outline, config), (part,)) for part in parts]
    double = [
        (lower_box.shared_with(upper_box), lower + upper)
        for (lower_box, lower), (upper_box, upper) in itertools.combinations(single, 2)
    ]
    return [(box, shown) for box, shown in single + double if not box.is_empty()]


def _draw(still: Still, parts: list[tuple[MovingPart, Any]]) -> Paint:
    """Paint parts, each with what it meets, over what stands still."""
    for part, met in parts:
        still = still.replace(paint=part.paint(still, met))
    return still.paint


def _moving(pose: Pose, appearance: Appearance, config: ViewConfig) -> list[MovingPart]:
    """Return the parts that turn, the nearest to the driver last."""
    road = front_wheel.drawn_angle(pose.road_wheel)
    wheel_angle = (jnp.cos(pose.steering_wheel), jnp.sin(pose.steering_wheel))
    road_angle = (jnp.cos(road), jnp.sin(road))

    def put_front_wheel(still: Still, rays: Direction) -> Paint:
        return front_wheel.paint(still.paint, rays, road_angle, appearance, config)

    def put_steering_wheel(still: Still, plane: steering_wheel.WheelPlane) -> Paint:
        return steering_wheel.paint(still, plane, wheel_angle, appearance)

    def meet_steering_wheel(rays: Direction) -> steering_wheel.WheelPlane:
        return steering_wheel.meet(rays, appearance, config)

    def meet_front_wheel(rays: Direction) -> Direction:
        return rays  # where they meet it depends on its angle

    return [
        MovingPart(front_wheel.outline(1.0), meet_front_wheel, put_front_wheel),
        MovingPart(front_wheel.outline(-1.0), meet_front_wheel, put_front_wheel),
        MovingPart(steering_wheel.outline(), meet_steering_wheel, put_steering_wheel),
    ]


def _cut(box: Box, table: chex.Array) -> chex.Array:
    """Return what of a table (rows, columns) is in a box, row after row."""
    return table[box.top : box.bottom, box.left : box.right].reshape(-1)


def _box(outline: np.ndarray, config: ViewConfig) -> Box:
    """Return the part of the picture where something within `outline` (n, 3) m can be.

    It holds for eyes near the default one: within `EYE_HEIGHTS` and `EYE_PITCHES` at `EYE_SETBACK`.
    """
    seen = []
    for height in EYE_HEIGHTS:
        for pitch in EYE_PITCHES:
            c, s = math.cos(pitch), math.sin(pitch)
            x, y, z = (outline - [-EYE_SETBACK, 0.0, height]).T
            ahead = np.maximum(c * x - s * z, 0.05)
            seen.append(np.column_stack([-(s * x + c * z) / ahead, -y / ahead]))
    rows, columns = (np.concatenate(seen) * config.focal).T
    rows = rows + (0.5 * config.height - config.cockpit_row)
    columns = columns + 0.5 * config.width

    height = config.height - config.cockpit_row
    top = max(math.floor(rows.min()), 0)
    bottom = min(math.ceil(rows.max()), height)
    left = max(math.floor(columns.min()), 0)
    right = min(math.ceil(columns.max()), config.width)
    return Box(top, bottom, left, right)
