"""A small image classifier trained by someone who knows nothing of this project: plain PyTorch, own names, own loop.

Run by hand on real data: `python tests/foreign_cnn.py FILE.parquet TEST.parquet OUT.pt --activation tanh`.
"""

import argparse
import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import nn


class TinyNet(nn.Module):
    """Three strided convolutions, an average over the picture, one dense layer.

    `norm` is None, "before" or "after" (the activation). Pixels are what the caller made of them.
    """

    def __init__(
        self, activation: str = "relu", norm: str | None = None, bias: bool = True, channels: int = 1
    ):
        super().__init__()
        act = {"relu": nn.ReLU, "tanh": nn.Tanh}[activation]

        def stage(inputs: int) -> nn.Sequential:
            parts: dict[str, nn.Module] = {"conv": nn.Conv2d(inputs, 16, 3, stride=2, bias=bias)}
            if norm == "before":
                parts["bn"] = nn.BatchNorm2d(16)
            parts["act"] = act()
            if norm == "after":
                parts["bn"] = nn.BatchNorm2d(16)
            stage = nn.Sequential()
            for name, part in parts.items():
                stage.add_module(name, part)
            return stage

        self.stem, self.stage1, self.stage2 = stage(channels), stage(16), stage(16)
        self.classify = nn.Linear(16, 10, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stage2(self.stage1(self.stem(x)))
        return self.classify(x.mean(dim=(-2, -1)))


def read_gray(path: Path, rows: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Gray pictures `(n, 1, H, W)` with pixels in [0, 1], and labels `(n,)`, of a parquet file from the Hub."""
    table = pq.read_table(path).slice(0, rows)
    column = next(name for name in ("image", "img") if name in table.column_names)
    pictures = [
        np.asarray(Image.open(io.BytesIO(cell["bytes"])).convert("L")) for cell in table[column].to_pylist()
    ]
    return torch.tensor(np.stack(pictures))[:, None] / 255, torch.tensor(table["label"].to_pylist())


def train(
    net: nn.Module, x: torch.Tensor, y: torch.Tensor, steps: int, lr: float, optimizer: str = "adam"
) -> None:
    """Minimise the cross entropy; leaves the network in evaluation mode."""
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(x, y),
        batch_sampler=torch.utils.data.BatchSampler(
            torch.utils.data.RandomSampler(x, replacement=True, num_samples=64 * steps), 64, False
        ),
    )
    kinds = {"adam": torch.optim.Adam, "sgd": lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9)}
    optim = kinds[optimizer](net.parameters(), lr=lr)
    net.train()
    for pictures, labels in loader:
        optim.zero_grad()
        nn.functional.cross_entropy(net(pictures), labels).backward()
        optim.step()
    net.eval()


@torch.no_grad()
def accuracy(net: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """The share of pictures that the network gets right."""
    right = sum((net(a).argmax(1) == b).sum().item() for a, b in zip(x.split(500), y.split(500), strict=True))
    return right / len(y)


def train_tiny_file(pictures: Path, out: Path, steps: int = 40) -> None:
    """A ReLU network, briefly trained on the pictures of one file, saved as its bare state_dict."""
    torch.manual_seed(0)
    net = TinyNet()
    x, y = read_gray(pictures)
    train(net, 2 * x - 1, y, steps, lr=3e-3)
    torch.save(net.state_dict(), out)


def main() -> None:
    """Train one network on real pictures and save its state_dict, with what it reaches."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--test-rows", type=int, default=2_000)
    parser.add_argument("--steps", type=int, default=2_000)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--optimizer", default="adam")
    parser.add_argument("--activation", default="relu")
    parser.add_argument("--norm", default=None)
    parser.add_argument("--no-bias", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    net = TinyNet(args.activation, args.norm, not args.no_bias)
    x, y = read_gray(args.train, args.rows)
    train(net, (x - 0.5) / 0.5, y, args.steps, args.lr, args.optimizer)
    x, y = read_gray(args.test, args.test_rows)
    reached = accuracy(net, (x - 0.5) / 0.5, y)
    torch.save(net.state_dict(), args.out)
    print(f"{args.out}: accuracy {reached:.4f} on {len(y)} test pictures")


if __name__ == "__main__":
    main()
