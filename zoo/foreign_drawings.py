"""Draw things that are none of the zoo's classes, each as a mask (`zoo.foreign_textures.Draw`): characters, shapes."""

import itertools

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from zoo.foreign_textures import SIDE, Draw, Rng, grid, noise

SERIF = cv2.FONT_HERSHEY_TRIPLEX


def strokes(choices: dict[str, list[list[tuple[float, float]]]], most: int = 1, least: int = 1) -> Draw:
    """How to write `least` to `most` of these side by side by hand: corners a little off, sharp or rounded."""

    def draw(rng: Rng) -> np.ndarray:
        mask, count, pen = empty(), int(rng.integers(least, most + 1)), int(rng.integers(3, 13))
        scale = SIDE / (10 * (0.4 + 0.6 * count))
        for place in range(count):
            offset = (np.array([place - (count - 1) / 2, 0]) * 0.6 * 10 * scale) + SIDE / 2
            for corners in choices[str(rng.choice(list(choices)))]:
                path = np.array(corners, float) + rng.normal(0, 0.25, (len(corners), 2)) - 5
                path = smooth(path) if len(path) > 2 and rng.random() < 0.5 else path
                line(mask, path * scale * 0.9 + offset, pen)
        return moved(mask, rng)

    return draw


def with_serifs(choices: str) -> Draw:
    """How to print one of these characters in OpenCV's font with serifs."""

    def draw(rng: Rng) -> np.ndarray:
        mask, text, scale = (
            np.zeros((SIDE, SIDE), np.uint8),
            str(rng.choice(list(choices))),
            rng.uniform(2.2, 3.4),
        )
        (width, height), _ = cv2.getTextSize(text, SERIF, scale, 2)
        at = ((SIDE - width) // 2, (SIDE + height) // 2)
        cv2.putText(mask, text, at, SERIF, scale, 255, int(rng.integers(1, 5)), cv2.LINE_AA)
        return moved(mask.astype(np.float32) / 255, rng)

    return draw


def printed(choices: str) -> Draw:
    """How to print one of these characters in Pillow's own font."""

    def draw(rng: Rng) -> np.ndarray:
        image = Image.new("L", (SIDE, SIDE))
        font = ImageFont.load_default(int(rng.integers(70, 110)))
        ImageDraw.Draw(image).text((SIDE // 2, SIDE // 2), str(rng.choice(list(choices))), 255, font, "mm")
        return moved(np.array(image, np.float32) / 255, rng)

    return draw


def scribble(rng: Rng) -> np.ndarray:
    """Up to four lines of a pen that wanders smoothly."""
    mask, pen = empty(), int(rng.integers(3, 13))
    for _ in range(rng.integers(1, 5)):
        corners = rng.uniform(0.12, 0.88, (rng.integers(3, 8), 2)) * SIDE
        line(mask, smooth(corners), pen)
    return mask


def shapes(rng: Rng) -> np.ndarray:
    """One to three filled or outlined polygons and ellipses."""
    mask = empty()
    for _ in range(rng.integers(1, 4)):
        pen = -1 if rng.random() < 0.6 else int(rng.integers(3, 10))
        centre, radius = rng.uniform(0.3, 0.7, 2) * SIDE, rng.uniform(0.12, 0.42) * SIDE
        if pen == -1 and rng.random() < 0.35:
            axes = (int(radius), int(radius * rng.uniform(0.4, 1)))
            cv2.ellipse(
                mask, centre.astype(int).tolist(), axes, rng.uniform(0, 180), 0, 360, 1.0, pen, cv2.LINE_AA
            )
            continue
        corners = star(
            centre, radius, int(rng.integers(3, 8)), rng.choice([1.0, 1.0, 0.45]), rng.uniform(0, 6.3)
        )
        polygon(mask, corners, pen, rng.uniform(0.4, 1))
    return mask


def line_drawing(rng: Rng) -> np.ndarray:
    """Lines, arcs, zigzags and outlined shapes put together, as parts of a drawing are."""
    mask, pen = empty(), int(rng.integers(3, 10))
    for _ in range(rng.integers(2, 7)):
        centre, radius = rng.uniform(0.25, 0.75, 2) * SIDE, rng.uniform(0.08, 0.4) * SIDE
        choice, angle = rng.random(), rng.uniform(0, 6.3)
        if choice < 0.35:
            arc(
                mask,
                centre,
                radius,
                angle,
                rng.choice([6.3, 6.3, rng.uniform(1, 5)]),
                rng.uniform(0.4, 1),
                pen,
            )
        elif choice < 0.65:
            line(mask, star(centre, radius, 1, -1.0, angle), pen)
        else:
            corners = star(centre, radius, int(rng.integers(3, 6)), 1.0, angle)[:: int(rng.integers(1, 3))]
            line(mask, corners[: int(rng.integers(3, len(corners) + 1))] if choice < 0.8 else corners, pen)
    return moved(mask, rng)


def curve(rng: Rng) -> np.ndarray:
    """A spiral or a closed curve with loops."""
    mask, t = empty(), np.linspace(0, 2 * np.pi, 200)
    if rng.random() < 0.5:
        radius, angle = t / t[-1] * SIDE * rng.uniform(0.25, 0.45), t * rng.uniform(1.2, 4)
        path = np.stack([np.cos(angle), np.sin(angle)], 1) * radius[:, None]
    else:
        one, two = rng.permutation(5)[:2] + 1
        path = (
            np.stack([np.sin(one * t), np.sin(two * t + rng.uniform(0, 3))], 1)
            * SIDE
            * rng.uniform(0.2, 0.42, 2)
        )
    line(mask, path + SIDE / 2, int(rng.integers(2, 9)))
    return moved(mask, rng)


def dots(rng: Rng) -> np.ndarray:
    """Discs or rings in rows, or scattered."""
    mask, steps = empty(), int(rng.integers(2, 7))
    places = (np.stack(np.meshgrid(np.arange(steps), np.arange(steps)), -1).reshape(-1, 2) + 0.5) / steps
    places = places if rng.random() < 0.5 else rng.random((rng.integers(2, 30), 2))
    size, pen = SIDE / steps * rng.uniform(0.15, 0.5), -1 if rng.random() < 0.6 else int(rng.integers(2, 6))
    for place in places:
        cv2.circle(
            mask,
            (place * SIDE).astype(int).tolist(),
            max(2, int(size)),
            rng.uniform(0.5, 1),
            pen,
            cv2.LINE_AA,
        )
    return mask


def mosaic(rng: Rng) -> np.ndarray:
    """Rectangles of all shades, with or without lines between them."""
    mask, joint = np.full((SIDE, SIDE), rng.random(), np.float32), int(rng.integers(0, 5))
    rows = np.sort(np.append(rng.integers(0, SIDE, rng.integers(1, 6)), [0, SIDE]))
    for top, bottom in itertools.pairwise(rows):
        cols = np.sort(np.append(rng.integers(0, SIDE, rng.integers(1, 6)), [0, SIDE]))
        for left, right in itertools.pairwise(cols):
            mask[top + joint : bottom, left + joint : right] = rng.random()
    return mask if rng.random() < 0.7 else moved(mask, rng)


def scene(rng: Rng) -> np.ndarray:
    """Sky, ground and round or angular things in the light, as in a photo of nothing in particular."""
    rows, cols = grid()
    horizon = rng.uniform(-0.6, 0.8) + 0.1 * noise(rng, 2.0)[SIDE // 2]
    mask = np.where(
        rows < horizon, rng.random() + 0.3 * rows, rng.random() + rng.uniform(0, 0.3) * noise(rng, 1.0)
    )
    for _ in range(rng.integers(1, 6)):
        thing = empty()
        centre, radius = rng.uniform(0, SIDE, 2), rng.uniform(0.08, 0.5) * SIDE
        polygon(thing, star(centre, radius, int(rng.integers(2, 12)), 1.0, rng.uniform(0, 6.3)), -1, 1.0)
        light = rng.random() + rng.uniform(-0.4, 0.4) * rows + rng.uniform(-0.4, 0.4) * cols
        mask = mask * (1 - thing) + thing * (light + rng.uniform(0, 0.2) * noise(rng, 1.5))
    return cv2.GaussianBlur(mask.clip(0, 1).astype(np.float32), (0, 0), rng.uniform(0.5, 3))


def patchwork(rng: Rng) -> np.ndarray:
    """Shapes of all sizes and shades that cover each other, as things in a photo do ("dead leaves")."""
    mask = np.full((SIDE, SIDE), rng.random(), np.float32)
    for radius in np.sort(SIDE * 0.5 * rng.uniform(0.1, 1, rng.integers(8, 60)) ** 2.5)[::-1]:
        corners = star(rng.uniform(0, SIDE, 2), radius + 2, int(rng.integers(3, 9)), 1.0, rng.uniform(0, 6.3))
        polygon(mask, corners, -1, rng.random())
    return cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.5, 4))


def face(rng: Rng) -> np.ndarray:
    """A round face with eyes and a mouth."""
    mask, pen = empty(), int(rng.integers(3, 9))
    filled, shade = rng.random() < 0.5, rng.uniform(0.6, 1)
    middle, radius = (SIDE // 2, SIDE // 2), int(SIDE * rng.uniform(0.3, 0.44))
    cv2.circle(mask, middle, radius, shade, -1 if filled else pen, cv2.LINE_AA)
    ink = 0.0 if filled else 1.0
    for side in (-1, 1):
        at = (int(middle[0] + side * radius * 0.4), int(middle[1] - radius * 0.3))
        cv2.circle(mask, at, int(radius * rng.uniform(0.1, 0.2)), ink, -1, cv2.LINE_AA)
    start = 0 if rng.random() < 0.7 else 180
    at = (middle[0], int(middle[1] + radius * (0.15 if start == 0 else 0.6)))
    cv2.ellipse(
        mask, at, (int(radius * 0.5), int(radius * 0.4)), 0, start + 15, start + 165, ink, pen, cv2.LINE_AA
    )
    return moved(mask, rng)


def icon(rng: Rng) -> np.ndarray:
    """Random fields, the left half mirrored: as pictures of accounts without a photo."""
    fields = int(rng.integers(5, 9))
    left = rng.random((fields, (fields + 1) // 2)) < 0.5
    whole = np.concatenate([left, left[:, : fields // 2][:, ::-1]], 1).astype(np.float32)
    return cv2.resize(np.pad(whole, 1), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)


def shrink(mask: np.ndarray, side: int) -> np.ndarray:
    """A mask, or any other square, of `side` pixels a side: averages over what each covers."""
    return cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA)


def empty() -> np.ndarray:
    """A mask of ground alone."""
    return np.zeros((SIDE, SIDE), np.float32)


def moved(mask: np.ndarray, rng: Rng) -> np.ndarray:
    """Turned by up to 20 degrees, slanted, resized and shifted a little, about the middle."""
    angle, middle = rng.normal(0, 0.15), np.full(2, SIDE / 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[1, rng.normal(0, 0.12)], [0, 1]]) * rng.uniform(0.8, 1.1)
    shift = middle - matrix @ middle + rng.normal(0, 0.03 * SIDE, 2)
    return cv2.warpAffine(mask, np.column_stack([matrix, shift]), (SIDE, SIDE))


def smooth(corners: np.ndarray) -> np.ndarray:
    """A curve through corners `(n, 2)`, as Catmull and Rom draw it."""
    ends = np.concatenate([corners[:1], corners, corners[-1:]])
    a, b, c, d = (ends[i : len(ends) - 3 + i, None] for i in range(4))
    t = np.linspace(0, 1, 12)[None, :, None]
    curve = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return curve.reshape(-1, 2)


def star(centre: np.ndarray, radius: float, points: int, inner: float, angle: float) -> np.ndarray:
    """The corners of a star; with `inner` 1 those of a polygon."""
    angles = angle + np.arange(2 * points) * np.pi / points
    radii = radius * np.where(
        np.arange(2 * points) % 2, inner * (np.cos(np.pi / points) if inner == 1 else 1), 1
    )
    return centre + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)


def line(mask: np.ndarray, corners: np.ndarray, pen: int) -> None:
    """Draw a line of this width into a mask."""
    cv2.polylines(mask, [np.round(corners * 16).astype(np.int32)], False, 1.0, pen, cv2.LINE_AA, 4)


def arc(
    mask: np.ndarray, centre: np.ndarray, radius: float, start: float, span: float, flat: float, pen: int
) -> None:
    """Draw a part of an ellipse into a mask: `span` radians from `start` on, its height `flat` times its width."""
    angles = start + np.linspace(0, span, 40)
    line(mask, centre + radius * np.stack([np.cos(angles), flat * np.sin(angles)], 1), pen)


def polygon(mask: np.ndarray, corners: np.ndarray, pen: int, shade: float) -> None:
    """Draw a filled polygon, or its outline where the pen has a width, into a mask."""
    points = [np.round(corners * 16).astype(np.int32)]
    if pen == -1:
        cv2.fillPoly(mask, points, shade, cv2.LINE_AA, 4)
    else:
        cv2.polylines(mask, points, True, shade, pen, cv2.LINE_AA, 4)
