"""A slow float64 picture: brute-force feet, wall polylines, supersampling."""

import math

import numpy as np
from kart_reference import kart_over, rgb, turned
from scipy.interpolate import CubicSpline
from scipy.spatial import KDTree

from kart_jax.render import raycast, shade
from kart_jax.render.types import ViewConfig
from kart_jax.track.line import resample
from kart_jax.track.types import SampleColumn

SUB = 3  # samples per pixel side
PLAIN = ViewConfig(height=44, width=44, sky=math.pi / 2, ground=math.pi / 2, cockpit=False)


def circuit(seed: int):
    """A smooth random loop, 400-700 m round, 7-9 m wide."""
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    three = 12 * np.cos(3 * angle + rng.uniform(0, 6))
    five = 5 * np.cos(5 * angle + rng.uniform(0, 6))
    radius = 55 + three + five
    points = np.column_stack([1.4 * radius * np.cos(angle), radius * np.sin(angle)])
    left, right = (np.full(80, w) + 0.3 * np.sin(angle) for w in rng.uniform(3.5, 4.5, 2))
    return resample(points, left, right)


class Reference:
    """One circuit as dense points, for NumPy."""

    def __init__(self, line, tracks):
        rows = np.asarray(tracks.samples[0], float)[: line.count]
        s = np.append(np.arange(line.count) * line.spacing, line.length)
        closed = np.vstack([rows, rows[:1]])

        self.s = np.arange(0, line.length, 0.02)
        self.length = line.length
        spline = CubicSpline(s, closed[:, : SampleColumn.TX], bc_type="periodic")
        self.p, tangent = spline(self.s), spline(self.s, 1)
        self.t = tangent / np.linalg.norm(tangent, axis=1, keepdims=True)
        self.row = np.stack([np.interp(self.s, s, column) for column in closed.T], axis=1)
        self.tree = KDTree(self.p)

        normal = np.column_stack([-self.t[:, 1], self.t[:, 0]])
        at = slice(None, None, 25)
        self.walls = [
            (self.p + side * self.row[:, [column]] * normal)[at]
            for side, column in ((1, SampleColumn.BARRIER_LEFT), (-1, SampleColumn.BARRIER_RIGHT))
        ]
        self.wall_s = self.s[at]

    def wall(self, x, y, dx, dy, at_once=10_000):
        """Return the smallest ray parameter (M,) to a wall segment, and the arc length there."""
        if len(dx) > at_once:  # memory: some arrays (M, segments)
            parts = range(0, len(dx), at_once)
            found = [self.wall(x, y, dx[k : k + at_once], dy[k : k + at_once]) for k in parts]
            return tuple(np.concatenate(column) for column in zip(*found, strict=True))

        best, best_s = np.full(len(dx), np.inf), np.zeros(len(dx))
        for wall in self.walls:
            ex, ey = (np.roll(wall, -1, axis=0) - wall).T
            det = dx[:, None] * ey - dy[:, None] * ex
            ax, ay = wall[:, 0] - x, wall[:, 1] - y
            with np.errstate(divide="ignore", invalid="ignore"):
                t = (ax * ey - ay * ex) / det
                u = (ax * dy[:, None] - ay * dx[:, None]) / det
            t = np.where((u >= 0) & (u <= 1) & (t > 0), t, np.inf)

            k = t.argmin(axis=1)
            m = np.arange(len(dx))
            near = t[m, k] < best
            step = self.wall_s[1]
            best_s = np.where(near, self.wall_s[k] + np.nan_to_num(u[m, k]) * step, best_s)
            best = np.minimum(best, t[m, k])
        return best, best_s


def flip(s, length, half):
    """Return True in the first of each pair of blocks of about `half` m; whole pairs fit a lap."""
    pairs = max(1, round(length / (2 * half)))
    return np.mod(s * pairs / length, 1.0) < 0.5


def picture(ref: Reference, pose, appearance, config=PLAIN, steer=(0.0, 0.0)):
    """Return (H, W, 3) float64; `steer` holds the angles of the steering and the front wheels."""
    return with_kart(world_samples(ref, pose, appearance, config), appearance, config, steer)


def world_samples(ref: Reference, pose, appearance, config):
    """Return the colours (samples, 3) of the world alone, row after row."""
    x, y, yaw, roll, pitch = pose
    turn = turned(2, yaw) @ turned(1, pitch) @ turned(0, roll)
    eye = turn @ eye_of(appearance) + [x, y, 0]
    return world_colour(ref, eye, chassis_rays(appearance, config) @ turn.T, yaw, appearance)


def with_kart(samples, appearance, config, steer):
    """Return the picture (H, W, 3) of samples (samples, 3) of the world, and of the own kart."""
    if config.cockpit:
        rays = chassis_rays(appearance, config)
        kart = kart_over(samples, eye_of(appearance), rays, appearance, steer)
        row = np.arange(len(rays)) // (config.width * SUB) // SUB
        samples = np.where((row >= config.cockpit_row)[:, None], kart, samples)
    return samples.reshape(config.height, SUB, config.width, SUB, 3).mean(axis=(1, 3))


def eye_of(appearance):
    """Return the place (3,) of the eye in the chassis frame."""
    return np.array([-float(appearance.camera_setback), 0, float(appearance.camera_height)])


def chassis_rays(appearance, config):
    """Return the directions (samples, 3) in the chassis frame, row after row."""
    i, j = np.meshgrid(np.arange(config.height * SUB), np.arange(config.width * SUB), indexing="ij")
    focal = config.width / 2 / math.tan(config.fov / 2)  # of the width; pixels are square
    v = ((i + 0.5) / SUB - config.height / 2) / focal
    u = ((j + 0.5) / SUB - config.width / 2) / focal
    camera = np.stack([np.ones_like(u), -u, -v], axis=-1).reshape(-1, 3)
    return camera @ turned(1, float(appearance.camera_pitch)).T


def world_colour(ref, eye, d, yaw, appearance):
    """Return the colour (M, 3) that single rays meet."""
    ahead = d[:, 0] * math.cos(yaw) + d[:, 1] * math.sin(yaw)
    haze = rgb(appearance.sky_bottom)
    out = sky_colour(d, ahead, appearance)

    down = d[:, 2] < -1e-9
    t = np.where(down, eye[2] / np.maximum(-d[:, 2], 1e-9), np.inf)
    t = np.where(down, np.minimum(t, raycast.MAX_DISTANCE), np.inf)
    x, y = eye[:2, None] + t[down] * d[down, :2].T
    out[down] = ground_colour(ref, x, y, appearance)
    x_ahead = np.where(down, t * ahead, 0.0)[:, None]
    out = np.where(down[:, None], out + (haze - out) * x_ahead / (x_ahead + shade.HAZE), out)

    w, s = ref.wall(eye[0], eye[1], d[:, 0], d[:, 1])
    with np.errstate(invalid="ignore"):
        z = eye[2] + w * d[:, 2]
    top = float(appearance.barrier_height)
    hit = np.isfinite(w) & (z >= 0) & (z <= top)
    first = flip(s, ref.length, raycast.BLOCK)[:, None]
    face = np.where(first, rgb(appearance.barrier_a), rgb(appearance.barrier_b))
    face = np.where((z < shade.WALL_FOOT)[:, None], shade.FOOT_DEPTH * face, face)
    face = np.where((z > top - shade.WALL_CAP)[:, None], rgb(appearance.barrier_b), face)
    far = np.where(hit, w, 1.0) * ahead
    face = face + (haze - face) * (far / (far + shade.HAZE))[:, None]
    return np.where(hit[:, None], face, out)


def sky_colour(d, ahead, appearance):
    """Return the colour (M, 3) of sky and trees in the directions of rays."""
    slope = d[:, 2] / ahead
    share = np.clip(1.25 * slope, 0, 1)[:, None]
    haze = rgb(appearance.sky_bottom)
    out = haze + (rgb(appearance.sky_top) - haze) * share * (2 - share)

    compass = np.arctan2(d[:, 1], d[:, 0])
    waves = [
        (3, 0.4, 0.012),
        (7, 2.0, 0.010),
        (19, 1.1, 0.006),
        (53, 0.2, 0.004),
        (131, 0.9, 0.002),
    ]
    trees = np.maximum(0.04 + sum(a * np.sin(n * compass + b) for n, b, a in waves), 0.004)
    flat = np.hypot(d[:, 0], d[:, 1])
    out[d[:, 2] / flat < trees] = 0.75 * rgb(appearance.trees) + 0.25 * haze
    return out


def ground_colour(ref, x, y, appearance):
    """Return the colour (M, 3) of points of the ground, without haze."""
    points = np.column_stack([x, y])
    _, k = ref.tree.query(points)
    gap = points - ref.p[k]
    row = ref.row[k]
    s = ref.s[k] + (gap * ref.t[k]).sum(axis=1)
    n = ref.t[k, 0] * gap[:, 1] - ref.t[k, 1] * gap[:, 0]
    left = n > 0
    half = np.where(left, row[:, SampleColumn.HALF_LEFT], row[:, SampleColumn.HALF_RIGHT])
    kerb = np.where(left, row[:, SampleColumn.KERB_LEFT], row[:, SampleColumn.KERB_RIGHT])
    edge = np.abs(n) - half

    off_line = (n - row[:, SampleColumn.RUBBER]) / shade.RUBBER_WIDTH
    worn = np.maximum(1 - off_line**2, 0)[:, None]
    asphalt = rgb(appearance.asphalt)
    out = asphalt + (rgb(appearance.rubber) - asphalt) * shade.RUBBER_DEPTH * worn**2
    start = np.mod(s + 0.5 * ref.length, ref.length) - 0.5 * ref.length
    along, across = (np.mod(v / (2 * shade.CHECK), 1) < 0.5 for v in (start, edge))
    squares = rgb(appearance.line) * np.where(along == across, 1.0, shade.DARK)[:, None]
    out = np.where((np.abs(start) < shade.CHECK)[:, None], squares, out)
    out = np.where((edge > -shade.LINE_WIDTH)[:, None], rgb(appearance.line), out)

    first = flip(s, ref.length, shade.KERB_BLOCK)[:, None]
    blocks = np.where(first, rgb(appearance.kerb_a), rgb(appearance.kerb_b))
    out = np.where((edge > 0)[:, None], blocks, out)
    stripe = np.where(flip(s, ref.length, shade.MOWN), 1, -1)[:, None]
    grass = rgb(appearance.grass) * (1 + shade.MOWN_DEPTH * stripe)
    return np.where((edge > float(appearance.kerb_width) * kerb)[:, None], grass, out)


def place(line, s, n, turn, roll, pitch):
    """Return (x, y, yaw, roll, pitch) at `s` and `n` m, turned by `turn` from the heading."""
    k = round(s / line.spacing) % line.count
    h = line.heading[k]
    return line.x[k] - n * math.sin(h), line.y[k] + n * math.cos(h), h + turn, roll, pitch


def poses(line, seed, count=2):
    """Return some random poses along a line, and one before the start line."""
    rng = np.random.default_rng(seed)
    return [
        place(
            line,
            rng.uniform(0, line.length),
            rng.uniform(-6, 6),
            rng.normal(0, 0.3),
            *rng.normal(0, 0.03, 2),
        )
        for _ in range(count)
    ] + [place(line, line.length - 6.0, 0.5, 0.05, 0.05, -0.03)]
