"""The own kart in slow float64: rays against plates, discs and true cylinders."""

import math

import numpy as np

from kart_jax.render import bodywork, front_wheel, steering_wheel
from kart_jax.render import paint as paints


def kart_over(colour, eye, d, appearance, steer):
    """Return the colours (M, 3) of single rays of the chassis frame with the own kart over them."""
    body = appearance.body
    light = float(appearance.light)

    def put(inside, above):
        nonlocal colour
        colour = np.where(inside[:, None], above * light, colour)

    def plane(height):
        t = (height - eye[2]) / np.minimum(d[:, 2], -1e-9)
        return eye[0] + t * d[:, 0], t * d[:, 1]

    x, y = plane(bodywork.FLOOR_HEIGHT)
    put(rounded(x - float(body.nose) + 0.90, y, 0.67, 0.27, 0.05), rgb(paints.TRAY))
    x, y = plane(bodywork.AXLE_HEIGHT)
    bar = rounded(x - float(body.front_axle), y, 0.024, float(body.half_track) - 0.108, 0.012)
    put(bar, rgb(paints.BRIGHT))

    x, y = plane(bodywork.NOSE_HEIGHT)
    bow = x - float(body.nose) + 0.28 + 0.35 * y**2
    shine = (0.80 + 0.7 * np.clip(bow, -0.3, 0.3))[:, None]
    stripe = (np.abs(y) < bodywork.STRIPE)[:, None]
    fairing = np.where(stripe, rgb(appearance.line), rgb(appearance.bodywork) * shine)
    put(rounded(bow, y, 0.28, float(body.half_width), 0.12), fairing)

    left, up = steering_plane(eye, d)
    radius = np.hypot(left, up)
    rim = np.abs(radius - steering_wheel.RADIUS) < steering_wheel.RIM
    put(radius < steering_wheel.HUB, rgb(paints.METAL))
    put(rim, rgb(paints.RUBBER))
    for side in (1.0, -1.0):
        put(*front_wheel_seen(eye, d, body, side, steer[1]))

    c, s = math.cos(steer[0]), math.sin(steer[0])
    p, q = c * left - s * up, s * left + c * up
    spokes = np.abs(q + 0.25 * np.abs(p) - 0.01) < steering_wheel.SPOKE
    put(spokes & (radius < steering_wheel.RADIUS) & ~rim, rgb(paints.METAL))
    put(rim & (q > 0) & (np.abs(p) < steering_wheel.TOP), rgb(paints.MARK))
    depth = np.sqrt((np.abs(p) - steering_wheel.RADIUS) ** 2 + 0.6 * (q + 0.01) ** 2)
    shine = 1 + 0.9 * np.clip(20 * (steering_wheel.HAND - depth), 0, 1)
    put(depth < steering_wheel.HAND, rgb(appearance.gloves) * shine[:, None])
    return colour


def rounded(x, y, half_x, half_y, radius):
    """Return whether points (M,) are in a rectangle of these half-sides with rounded corners."""
    dx = np.maximum(np.abs(x) - half_x + radius, 0)
    dy = np.maximum(np.abs(y) - half_y + radius, 0)
    return np.hypot(dx, dy) < radius


def steering_plane(eye, d):
    """Return where rays (M,) meet the steering wheel's plane, m to the left and up in it."""
    c, s = math.cos(steering_wheel.TILT), math.sin(steering_wheel.TILT)
    up = np.array([c, 0, s])
    normal = np.array([-s, 0, c])
    offset = np.array(steering_wheel.CENTRE) - eye
    t = (normal @ offset) / np.minimum(d @ normal, -1e-9)
    point = t[:, None] * d - offset
    return point[:, 1], point @ up


def front_wheel_seen(eye, d, body, side, angle):
    """Return which rays (M,) meet the left (1) or right (-1) front wheel, and the colours (M, 3).

    The wheel is a cylinder, turned by `angle` around the upright axis through its middle.
    """
    radius, half = float(body.tyre_radius), front_wheel.HALF_WIDTH
    middle = np.array([float(body.front_axle), side * float(body.half_track), radius])
    back = turned(2, -angle)
    o, d = back @ (eye - middle), d @ back.T

    a = d[:, 0] ** 2 + d[:, 2] ** 2
    b = o[0] * d[:, 0] + o[2] * d[:, 2]
    root = b**2 - a * (o[0] ** 2 + o[2] ** 2 - radius**2)
    with np.errstate(invalid="ignore"):
        t = (-b - np.sqrt(root)) / a
    tread = (root > 0) & (np.abs(o[1] + t * d[:, 1]) < half)
    height = np.where(tread, o[2] + t * d[:, 2], 0)
    steep = np.maximum(0.9 + 0.8 * height / radius, 0.5)[:, None]

    with np.errstate(divide="ignore"):
        t = (-side * half - o[1]) / d[:, 1]
    off = np.hypot(o[0] + t * d[:, 0], o[2] + t * d[:, 2])
    face = (side * d[:, 1] > 0) & (off < radius)
    rim = (off < front_wheel.RIM_RADIUS)[:, None]
    colour = np.where(rim, rgb(paints.BRIGHT), rgb(front_wheel.FACE))
    return tread | face, np.where(face[:, None], colour, rgb(paints.RUBBER) * steep)


def turned(axis, angle):
    """Return the matrix (3, 3) that turns by `angle` around x (0), y (1) or z (2)."""
    c, s = math.cos(angle), math.sin(angle)
    matrix = np.eye(3)
    others = [(axis + 1) % 3, (axis + 2) % 3]
    matrix[np.ix_(others, others)] = [[c, -s], [s, c]]
    return matrix


def rgb(colour):
    """Return a colour (3,) as float64."""
    return np.asarray(colour, float)
