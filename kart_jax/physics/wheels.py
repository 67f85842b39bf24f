"""What passes between the stages of a step for each wheel.

Wheels are ordered front-left, front-right, rear-left, rear-right. A wheel's own frame has its x
axis along the wheel's heading and its y axis to the left of it, both in the plane of the ground.
"""

from typing import TypeAlias, TypeVar

import chex
from flax import struct

T = TypeVar("T")

PerWheel: TypeAlias = tuple[T, ...]  # one entry per wheel, in the order above

WHEELS = range(4)


class WheelFrame(struct.PyTreeNode):
    """Heading of a wheel's own frame in the body frame."""

    cosine: chex.Array  # () of the wheel's steer angle
    sine: chex.Array  # () of the same


class WheelMotion(struct.PyTreeNode):
    """Motion of a wheel, in its own frame."""

    v_x: chex.Array  # () m/s, velocity of the contact patch along the wheel
    v_y: chex.Array  # () m/s, across it, positive = left
    omega: chex.Array  # () rad/s, spin


class WheelForce(struct.PyTreeNode):
    """Force of the ground on a wheel, in the wheel's own frame."""

    x: chex.Array  # () N, along the wheel
    y: chex.Array  # () N, across it, positive = left
