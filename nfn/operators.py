"""Image-space edit styles, OpenCV operators on 8-bit pixels: the targets of weight-space edits."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch

KERNEL = np.ones((3, 3), np.uint8)


def _contrast(image: np.ndarray) -> np.ndarray:
    """CLAHE on lightness, clip limit 1, 3x3 tiles: the operator of arXiv:2302.14040, appendix D.4."""
    clahe = cv2.createCLAHE(clipLimit=1.0, tileGridSize=(3, 3))
    if image.ndim == 2:
        return clahe.apply(image)
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = clahe.apply(np.ascontiguousarray(lab[..., 0]))
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def _sharpen(image: np.ndarray) -> np.ndarray:
    """Unsharp mask: add the difference from a Gaussian blur of one pixel."""
    return cv2.addWeighted(image, 2.0, cv2.GaussianBlur(image, (0, 0), 1.0), -1.0, 0)


def _neon(image: np.ndarray) -> np.ndarray:
    """Glowing outlines on black: the morphological gradient, channel by channel."""
    return cv2.morphologyEx(image, cv2.MORPH_GRADIENT, KERNEL)


@dataclass(frozen=True)
class Style:
    """An edit: its name, its label and description on screen, and its operator on `(H, W)` or `(H, W, 3)` uint8."""

    name: str
    label: str
    description: str
    operator: Callable[[np.ndarray], np.ndarray]


STYLES = {
    style.name: style
    for style in (
        Style("dilate", "Dilate", "Bright strokes grow by a pixel.", lambda image: cv2.dilate(image, KERNEL)),
        Style("erode", "Erode", "Bright strokes shrink by a pixel.", lambda image: cv2.erode(image, KERNEL)),
        Style("contrast", "Contrast", "Local contrast is evened out (CLAHE).", _contrast),
        Style("sharpen", "Sharpen", "Edges get crisper (unsharp mask).", _sharpen),
        Style("neon", "Neon", "Only glowing outlines stay.", _neon),
    )
}


def find_style(name: str) -> Style:
    """The style of that name; a ValueError lists the known ones."""
    if name not in STYLES:
        raise ValueError(f"Unknown style {name!r}: choose one of {', '.join(STYLES)}.")
    return STYLES[name]


def apply_style(images: torch.Tensor, style: str, strength: float = 1.0) -> torch.Tensor:
    """Edit images `(B, c, H, W)` in [-1, 1]: `x + strength * (operator(x) - x)`, clamped to [-1, 1].

    Strength 0 changes nothing, 1 applies the operator, more than 1 exaggerates it.
    """
    operator = find_style(style).operator
    clean = images.clamp(-1, 1)
    pixels = ((clean + 1) * 127.5).round().to(torch.uint8).movedim(1, 3).cpu().numpy()
    edited = np.stack(
        [operator(p.squeeze(2) if p.shape[2] == 1 else np.ascontiguousarray(p)) for p in pixels]
    )
    target = torch.from_numpy(edited).to(images) / 127.5 - 1
    target = target[:, None] if target.ndim == 3 else target.movedim(3, 1)
    return (clean + strength * (target - clean)).clamp(-1, 1)
