"""A SIREN written by someone who knows nothing of this project."""

import torch


class ForeignSiren(torch.nn.Module):
    """A SIREN as someone else writes one: other names, (x, y) coordinates, pixels from 0 to 1, other omegas."""

    def __init__(self, outputs: int = 1, width: int = 40):
        super().__init__()
        self.input_layer = torch.nn.Linear(2, width)
        self.middle = torch.nn.Linear(width, width)
        self.to_pixel = torch.nn.Linear(width, outputs)
        with torch.no_grad():
            self.input_layer.weight.uniform_(-0.5, 0.5)
            self.middle.weight.uniform_(-((6 / width) ** 0.5) / 25, (6 / width) ** 0.5 / 25)

    def forward(self, xy: torch.Tensor) -> torch.Tensor:
        h = torch.sin(20 * self.input_layer(xy))
        return self.to_pixel(torch.sin(25 * self.middle(h)))


FOREIGN_METADATA = {
    "first_omega": "20",
    "hidden_omega": "25",
    "output_range": "[0, 1]",
    "coordinates": "col_row",
}


def fit_foreign_siren(image: torch.Tensor, steps: int = 250) -> ForeignSiren:
    """Fit `ForeignSiren` to an image `(c, H, W)` uint8, with an optimizer and a loop of its own."""
    torch.manual_seed(0)
    model = ForeignSiren(image.shape[0])
    height, width = image.shape[1:]
    ys, xs = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    xy, target = torch.stack([xs, ys], -1).view(-1, 2), image.flatten(1).T.float() / 255
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        (model(xy) - target).square().mean().backward()
        optimizer.step()
    return model
