"""Train the image classifiers of tests/data/foreign_cnns: what people bring, by the choices that people make.

    python tests/make_foreign_cnns.py               # an hour of one core; files that exist are kept

Writes one file a recipe, saved as a person would, and index.json with what is true of each: how its input is
normalised, how it is wired, and its accuracy on 5,000 test images. Nothing here comes from the library.
"""

import argparse
import json
import re
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import foreign_nets as nets
import onnx
import torch
import torch.nn.functional as F
from foreign_images import DATA, read_images
from safetensors.torch import save_file
from torch import nn

OUT = Path(__file__).parent / "data" / "foreign_cnns"
UNIT = ([0.0], [1.0])  # torchvision's ToTensor and nothing else
HALF = ([0.5], [0.5])
BYTES = ([0.0], [1 / 255])
INVERTED = ([1.0], [-1.0])
MNIST = ([0.1307], [0.3081])
FASHION = ([0.2860], [0.3530])
GRAY_IMAGENET = ([0.449], [0.226])
GRAY_CIFAR = ([0.4734], [0.2515])
CIFAR = ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616])
CIFAR_COPIED = ([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010])  # the deviations of kuangliu's repository
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
COLOUR_HALF = ([0.5] * 3, [0.5] * 3)


@dataclass(frozen=True)
class Recipe:
    """One network. (images / 255 - mean) / std goes in; `about` says how it is wired, in words."""

    file: str
    build: object
    images: str  # mnist | fashion_mnist | cifar10 gray | cifar10 colour
    normalisation: tuple
    about: str
    activation: str = "relu"
    batch_norm: str = "none"  # none | before activation | after activation
    padding: str = "0"
    pooling: str = "global average"
    save: str = (
        "state_dict"  # state_dict | half | module | lightning | checkpoint | data_parallel | onnx | onnx_old
    )
    train_images: int = 20000
    epochs: int = 3
    rate: float = 3e-3
    side: int = 0  # 32: 28 pixels are padded with zeros to 32


small, seq = nets.SmallCNN, nets.sequential
ZOO_LIKE = "3 convolutions 3x3 of 16 channels, stride 2, global pool, linear"
STRIDE_1 = "3 convolutions 3x3 of 16 channels, stride 1, each followed by max pooling, global average, linear"


def first_seven():
    yield Recipe(
        "mnist_cnn.pt",
        partial(nets.MnistExample, 16, 32, 32),
        "mnist",
        MNIST,
        "pytorch/examples MNIST net with 16-32 channels and 32 hidden units (there 32-64 and 128); log_softmax",
        pooling="max once, flatten",
        save="half",
        rate=1e-3,
    )
    yield Recipe(
        "cifar_net.pth",
        nets.CifarTutorial,
        "cifar10 colour",
        COLOUR_HALF,
        "CIFAR-10 tutorial LeNet: conv 5x5 of 6 and 16, linear 400-120-84-10",
        pooling="max twice, flatten",
        epochs=6,
        rate=1e-3,
    )
    yield Recipe(
        "model.pth",
        partial(nets.Quickstart, 128, 64),
        "fashion_mnist",
        UNIT,
        "quickstart MLP 784-128-64-10 (there 784-512-512-10)",
        pooling="none",
        save="half",
        epochs=6,
        rate=1e-3,
    )
    yield Recipe(
        "lenet_300_100.pt",
        nets.LeNet300,
        "mnist",
        MNIST,
        "MLP 784-300-100-10",
        pooling="none",
        save="half",
        epochs=5,
        rate=1e-3,
    )
    yield Recipe(
        "three_conv.pt",
        nets.ThreeConv,
        "fashion_mnist",
        UNIT,
        "3 convolutions 3x3 of 16-32-32, each followed by max pooling; flatten 288; linear",
        padding="1",
        pooling="max three times, flatten",
        epochs=4,
    )
    yield Recipe(
        "whole_model.pt",
        partial(nets.ThreeConv, 1, (8, 16, 16), 3, 32),
        "mnist",
        UNIT,
        "3 convolutions 3x3 of 8-16-16, each followed by max pooling; linear 144-32-10; a pickled module",
        padding="1",
        pooling="max three times, flatten",
        save="module",
        epochs=4,
    )
    yield Recipe(
        "classifier.onnx",
        partial(nets.VGG, (8, "M", 16, 16, "M", 16, "M"), True, 3),
        "cifar10 colour",
        CIFAR,
        "VGG-like with batch norm, 8-16-16-16 channels, linear 256-32-10; ONNX",
        batch_norm="before activation",
        padding="1",
        pooling="max three times, flatten",
        save="onnx",
        epochs=4,
    )


def inputs():
    """The zoo's shapes and its wiring, with the input normalised in the ways people do."""
    for file, images, normalisation, net in [
        ("fashion_unit.pt", "fashion_mnist", UNIT, small),
        ("fashion_copied_stats.pt", "fashion_mnist", MNIST, small),
        ("fashion_own_stats.safetensors", "fashion_mnist", FASHION, seq),
        ("fashion_bytes.pt", "fashion_mnist", BYTES, seq),
        ("fashion_inverted.pt", "fashion_mnist", INVERTED, small),
        ("gray_cifar_half.pth", "cifar10 gray", HALF, small),
        ("gray_cifar_imagenet.pt", "cifar10 gray", GRAY_IMAGENET, seq),
        ("gray_cifar_own_stats.safetensors", "cifar10 gray", GRAY_CIFAR, small),
        ("digits_unit.pt", "mnist", UNIT, seq),
    ]:
        epochs = 12 if images == "cifar10 gray" else 8
        yield Recipe(file, net, images, normalisation, ZOO_LIKE, epochs=epochs)


def activations():
    for file, images, normalisation, act, word, net in [
        ("fashion_silu.pt", "fashion_mnist", UNIT, nn.SiLU, "silu", small),
        ("gray_cifar_elu.pt", "cifar10 gray", HALF, nn.ELU, "elu", seq),
        ("fashion_sigmoid.pt", "fashion_mnist", FASHION, nn.Sigmoid, "sigmoid", small),
        ("gray_cifar_leaky.pt", "cifar10 gray", UNIT, partial(nn.LeakyReLU, 0.2), "leaky_relu 0.2", small),
        ("fashion_gelu.safetensors", "fashion_mnist", HALF, nn.GELU, "gelu", seq),
        ("gray_cifar_tanh.pt", "cifar10 gray", GRAY_CIFAR, nn.Tanh, "tanh", small),
    ]:
        rate, epochs = (1e-2 if word == "sigmoid" else 3e-3), 10
        build = partial(net, act)
        yield Recipe(file, build, images, normalisation, ZOO_LIKE, word, epochs=epochs, rate=rate)


def wirings():
    yield Recipe(
        "fashion_padded.pt", partial(small, pad=1), "fashion_mnist", UNIT, ZOO_LIKE, padding="1", epochs=8
    )
    yield Recipe(
        "gray_cifar_max_pool.pt",
        partial(small, pad=1, stride=1, pool=nn.MaxPool2d(2)),
        "cifar10 gray",
        HALF,
        STRIDE_1,
        padding="1",
        pooling="max three times, global average",
        epochs=8,
    )
    yield Recipe(
        "fashion_skip.pt",
        partial(small, pad=1, skip=True),
        "fashion_mnist",
        UNIT,
        "as the zoo's, but the second convolution has stride 1 and adds its input to its output",
        padding="1",
        epochs=8,
    )
    yield Recipe(
        "fashion_global_max.pt",
        partial(small, end="max"),
        "fashion_mnist",
        UNIT,
        ZOO_LIKE,
        pooling="global max",
        epochs=8,
    )
    yield Recipe(
        "gray_cifar_pool_stride_1.pt",
        partial(seq, pool=nn.MaxPool2d(2, stride=1)),
        "cifar10 gray",
        UNIT,
        "as the zoo's, max pooling 2x2 of stride 1 behind every activation",
        pooling="max 2x2 of stride 1 three times, global average",
        epochs=10,
    )
    yield Recipe(
        "gray_cifar_avg_pool.pt",
        partial(small, pad=1, stride=1, pool=nn.AvgPool2d(2)),
        "cifar10 gray",
        GRAY_CIFAR,
        STRIDE_1.replace("max", "average"),
        padding="1",
        pooling="average three times, global average",
        epochs=8,
    )
    yield Recipe(
        "fashion_valid_max_pool.pt",
        partial(seq, stride=1, pool=nn.MaxPool2d(2), widths=(8, 16, 32)),
        "fashion_mnist",
        FASHION,
        STRIDE_1.replace("16 channels", "8-16-32 channels"),
        pooling="max three times, global average",
        epochs=8,
    )


def batch_norms():
    for file, images, normalisation, norm, pad, net in [
        ("fashion_bn.pt", "fashion_mnist", UNIT, "before", 0, small),
        ("fashion_bn_after.pt", "fashion_mnist", UNIT, "after", 0, small),
        ("gray_cifar_bn_padded.pt", "cifar10 gray", GRAY_CIFAR, "before", 1, seq),
        ("gray_cifar_bn_after_padded.safetensors", "cifar10 gray", HALF, "after", 1, seq),
        ("digits_bn.pt", "mnist", MNIST, "before", 1, small),
    ]:
        yield Recipe(
            file,
            partial(net, norm=norm, pad=pad),
            images,
            normalisation,
            ZOO_LIKE,
            batch_norm=f"{norm} activation",
            padding=str(pad),
            epochs=6,
        )


def families():
    yield Recipe(
        "epoch=4-step=1565.ckpt",
        partial(nets.LitModel, 3, (8, 16, 32)),
        "cifar10 colour",
        CIFAR_COPIED,
        "Lightning small CNN: conv, ReLU, batch norm, max pooling, three times; flatten 512; linear",
        batch_norm="after activation",
        padding="1",
        pooling="max three times, flatten",
        save="lightning",
        epochs=5,
    )
    yield Recipe(
        "resnet8.pth",
        nets.ResNet,
        "cifar10 colour",
        IMAGENET,
        "ResNet-8 by torchvision's names, 8-16-32 channels",
        batch_norm="before activation",
        padding="1",
        train_images=15000,
        epochs=5,
    )
    yield Recipe(
        "resnet_gray.safetensors",
        partial(nets.ResNet, 1, (8, 16), 2),
        "fashion_mnist",
        FASHION,
        "ResNet by torchvision's names, 8-16 channels, two blocks each",
        batch_norm="before activation",
        padding="1",
        train_images=10000,
        epochs=4,
    )
    yield Recipe(
        "plain_resnet.pt",
        nets.PlainResNet,
        "fashion_mnist",
        HALF,
        "stem of stride 2, two convolutions with skips after the ReLU, max pooling between them",
        padding="1",
        pooling="max once, global average",
        epochs=8,
    )
    yield Recipe(
        "mobilenet.pth",
        nets.MobileNet,
        "cifar10 colour",
        IMAGENET,
        "depthwise-separable, 16-32-64-64 channels",
        batch_norm="before activation",
        padding="1",
        train_images=15000,
        epochs=6,
    )
    yield Recipe(
        "vgg.pth",
        nets.VGG,
        "cifar10 colour",
        CIFAR,
        "VGG-like, 16-32-32-32 channels, linear 512-32-10",
        padding="1",
        pooling="max three times, flatten",
        train_images=15000,
        epochs=6,
        rate=2e-3,
        save="half",
    )
    yield Recipe(
        "vgg_bn.pth",
        partial(nets.VGG, (8, "M", 16, "M", 32, "M"), True),
        "cifar10 colour",
        COLOUR_HALF,
        "VGG-like with batch norm, 8-16-32 channels, linear 512-32-10",
        batch_norm="before activation",
        padding="1",
        pooling="max three times, flatten",
        save="half",
        epochs=5,
    )
    yield Recipe(
        "all_conv.pt",
        partial(nets.AllConv, 3, 16),
        "cifar10 colour",
        CIFAR,
        "all convolutional, 16-16-32-32 channels, 1x1 convolution to 10 classes",
        padding="1",
        train_images=15000,
        epochs=6,
    )
    yield Recipe(
        "densenet.pt",
        nets.DenseNet,
        "fashion_mnist",
        FASHION,
        "two dense blocks with concatenation, average pooling between them",
        padding="1",
        pooling="average once, global average",
        epochs=6,
    )
    yield Recipe(
        "lenet5.pt",
        nets.LeNet5,
        "mnist",
        MNIST,
        "LeNet-5 on 32x32 (28 padded by zeros before normalising): tanh, average pooling, linear 400-120-84-10",
        activation="tanh",
        pooling="average twice, flatten",
        save="half",
        rate=1e-3,
        side=32,
        epochs=5,
    )
    yield Recipe(
        "fashion_parallel.pt",
        partial(nets.ThreeConv, 1, (8, 16, 16), 3, 0),
        "fashion_mnist",
        HALF,
        "3 convolutions 3x3 of 8-16-16, each followed by max pooling; flatten 144; linear; DataParallel",
        padding="1",
        pooling="max three times, flatten",
        save="data_parallel",
        epochs=5,
    )
    yield Recipe(
        "checkpoint.pth.tar",
        partial(small, pad=1, norm="before"),
        "cifar10 gray",
        HALF,
        ZOO_LIKE,
        batch_norm="before activation",
        padding="1",
        save="checkpoint",
        train_images=6000,
    )
    yield Recipe(
        "digits_old_exporter.onnx",
        partial(small, nn.LeakyReLU, pad=1, end="max"),
        "mnist",
        HALF,
        ZOO_LIKE,
        activation="leaky_relu 0.01",
        padding="1",
        pooling="global max",
        save="onnx_old",
        train_images=6000,
    )


def mlps():
    for file, images, normalisation, sizes, options, save in [
        ("softmax_regression.pt", "mnist", UNIT, (784, 10), {}, "state_dict"),
        ("mlp_tanh.pt", "fashion_mnist", HALF, (784, 32, 10), dict(act=nn.Tanh), "half"),
        ("mlp_bn.pt", "mnist", MNIST, (784, 32, 32, 32, 10), dict(batch_norm=True, dropout=0.1), "half"),
        ("mlp_colour.safetensors", "cifar10 colour", COLOUR_HALF, (3072, 16, 16, 10), {}, "half"),
        ("mlp_gray.pt", "cifar10 gray", UNIT, (1024, 24, 24, 10), dict(act=nn.GELU), "half"),
    ]:
        word = options["act"].__name__.lower() if "act" in options else "relu"
        yield Recipe(
            file,
            partial(nets.MLP, sizes, **options),
            images,
            normalisation,
            "MLP " + "-".join(map(str, sizes)) + (" with dropout" if "dropout" in options else ""),
            activation="none" if len(sizes) == 2 else word,
            batch_norm="before activation" if options.get("batch_norm") else "none",
            pooling="none",
            save=save,
            train_images=20000,
            epochs=5,
            rate=1e-3,
        )


def dropouts():
    """Batch norms behind dropout: their running statistics are those of training, in which values are dropped."""
    for file, images, normalisation, widths, dropout, before_pooling, train_images in [
        ("fashion_dropout.pt", "fashion_mnist", FASHION, (16, 32, 32), nn.Dropout, False, 20000),
        ("digits_dropout2d.pt", "mnist", UNIT, (16, 24), nn.Dropout2d, True, 10000),
    ]:
        where = "before" if before_pooling else "after"
        yield Recipe(
            file,
            partial(nets.with_dropout, 1, 28, widths, partial(dropout, 0.5), before_pooling),
            images,
            normalisation,
            f"{len(widths)} convolutions 3x3, batch norm, max pooling, {dropout.__name__} 0.5 {where} it; flat",
            batch_norm="before activation",
            padding="1",
            pooling=f"max, {len(widths)} times, flatten",
            save="half",
            train_images=train_images,
            epochs=1,
            rate=1e-3,
        )


def skips():
    """Skip connections that torchvision's names do not tell."""
    yield Recipe(
        "resnet9.pth",
        nets.ResNet9,
        "cifar10 colour",
        CIFAR_COPIED,
        "ResNet-9 of many tutorials, 4-8-16-32 channels (there 64-512), two skips over two convolutions each",
        batch_norm="before activation",
        padding="1",
        pooling="max three times, global max",
        save="half",
        epochs=4,
    )
    yield Recipe(
        "own_blocks.pt",
        nets.OwnBlocks,
        "fashion_mnist",
        FASHION,
        "stem and another convolution of stride 2, a block of two convolutions with a skip behind each",
        batch_norm="before activation",
        padding="1",
        save="half",
    )


RECIPES = [
    *first_seven(),
    *inputs(),
    *activations(),
    *wirings(),
    *batch_norms(),
    *families(),
    *mlps(),
    *dropouts(),
    *skips(),
]


def load(images, split, count, side, data=DATA):
    """(n, channels, side, side) in [0, 1] and labels (n,)."""
    name = images.split()[0]
    x, y = read_images(name, split, count, data)
    x = torch.from_numpy(x).float() / 255
    if images == "cifar10 gray":
        x = x @ torch.tensor([0.299, 0.587, 0.114])
    x = x.permute(0, 3, 1, 2) if images == "cifar10 colour" else x.unsqueeze(1)
    if side and side > x.shape[-1]:
        x = F.pad(x, [(side - x.shape[-1]) // 2] * 4)
    return x.contiguous(), torch.from_numpy(y)


def normalise(x, normalisation):
    mean, std = (torch.tensor(values).reshape(1, -1, 1, 1) for values in normalisation)
    return (x - mean) / std


def train(model, x, y, recipe):
    """Adam with a one-cycle schedule, batches of 64."""
    optimiser = torch.optim.Adam(model.parameters(), lr=recipe.rate)
    batches = -(-len(x) // 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.rate, total_steps=batches * recipe.epochs
    )
    model.train()
    for epoch in range(recipe.epochs):
        total = 0.0
        for batch in torch.randperm(len(x)).split(64):
            loss = F.cross_entropy(model(x[batch]), y[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item() * len(batch)
        print(f"   epoch {epoch + 1}: loss {total / len(x):.3f}", flush=True)
    return optimiser


def write(model, optimiser, recipe, x, path):
    """Save the model as the recipe's author would."""
    tensors = model.state_dict()
    if recipe.save == "module":
        for cls in {type(part) for part in model.modules() if type(part).__module__ == "foreign_nets"}:
            cls.__module__ = "__main__"  # the class stood in the author's own script
            setattr(sys.modules["__main__"], cls.__qualname__, cls)
        torch.save(model, path)
    elif recipe.save == "onnx":
        torch.onnx.export(
            model, (x[:1],), path, input_names=["input"], output_names=["output"], external_data=False
        )
        forget_paths(path)
    elif recipe.save == "onnx_old":
        torch.onnx.export(
            model, (x[:1],), path, dynamo=False, dynamic_axes={"x": {0: "batch"}}, input_names=["x"]
        )
    elif recipe.save == "lightning":
        torch.save(lightning(tensors, recipe), path)
    elif recipe.save == "checkpoint":
        state = dict(epoch=recipe.epochs, arch="small_cnn", best_acc1=0.0)
        torch.save(state | dict(state_dict=tensors, optimizer=optimiser.state_dict()), path)
    elif recipe.save == "data_parallel":
        torch.save(nn.DataParallel(model).state_dict(), path)
    elif path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)


def forget_paths(path):
    """The stack traces that the exporter leaves in the file, as if the script stood in somebody's home."""
    model = onnx.load(path)
    for node in model.graph.node:
        for prop in node.metadata_props:
            prop.value = re.sub(r'File "[^"]*/(?=site-packages/|[^/"]*")', 'File "/home/user/', prop.value)
    onnx.save(model, path)


def lightning(tensors, recipe):
    """What Lightning 2 writes with save_weights_only=True."""
    return {
        "epoch": recipe.epochs - 1,
        "global_step": 1565,
        "pytorch-lightning_version": "2.2.1",
        "state_dict": tensors,
        "loops": None,
        "hparams_name": "kwargs",
        "hyper_parameters": {"lr": recipe.rate, "batch_size": 64, "num_classes": 10},
    }


def measure(model, x, y):
    """Right answers, and the first three pictures' logits, of the model as it was saved."""
    model = model.float().eval()
    with torch.no_grad():
        logits = torch.cat([model(part) for part in x.split(500)])
    return int((logits.argmax(1) == y).sum()), [[round(v, 4) for v in row] for row in logits[:3].tolist()]


def make(recipe, seed, data):
    """Train, save and measure one recipe; its row of the index."""
    torch.manual_seed(seed)
    x, y = load(recipe.images, "train", recipe.train_images, recipe.side, data)
    x = normalise(x, recipe.normalisation)
    model = recipe.build()
    began = time.process_time()
    optimiser = train(model, x, y, recipe)
    seconds = time.process_time() - began
    if recipe.save == "half":
        model = model.half()
    write(model.eval(), optimiser, recipe, x, OUT / recipe.file)
    test_x, test_y = load(recipe.images, "test", 5000, recipe.side, data)
    correct, logits = measure(model, normalise(test_x, recipe.normalisation), test_y)
    row = {
        key: value for key, value in asdict(recipe).items() if key not in ("build", "normalisation", "side")
    }
    return row | dict(
        input_shape=list(x.shape[1:]),
        mean=recipe.normalisation[0],
        std=recipe.normalisation[1],
        parameters=sum(p.numel() for p in model.parameters()),
        seed=seed,
        seconds=round(seconds, 1),
        accuracy=correct / len(test_y),
        first_logits=logits,
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*", default=[recipe.file for recipe in RECIPES])
    parser.add_argument("--data", default=DATA)
    args = parser.parse_args()
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    table = OUT / "index.json"
    index = {row["file"]: row for row in json.loads(table.read_text())} if table.exists() else {}
    for seed, recipe in enumerate(RECIPES):
        if recipe.file not in args.only or (recipe.file in index and (OUT / recipe.file).exists()):
            continue
        print(f"{seed + 1}/{len(RECIPES)} {recipe.file}", flush=True)
        index[recipe.file] = row = make(recipe, seed, args.data)
        print(
            f"   {row['accuracy']:.4f} of 5,000, {row['parameters']} parameters, {row['seconds']} s",
            flush=True,
        )
        rows = [json.dumps(index[r.file]) for r in RECIPES if r.file in index]
        table.write_text("[" + ",\n".join(rows) + "]\n")


if __name__ == "__main__":
    main()
