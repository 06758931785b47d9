"""Train a small network on scikit-learn's handwritten digits: 1,797 real images, 10 to 20 seconds on a CPU.

Runs by itself (`python examples/digits.py`) and as a run (`jupyter mlrun submit -b examples/digits.py`);
as a run its losses and accuracies are recorded, and ./outputs is kept.
"""

from __future__ import annotations

import argparse
import os
import sys

from jupyter_mlrun import log

try:
    import torch
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
except ImportError as missing:
    sys.exit(f"{missing.name} is not installed here. This example needs: pip install torch scikit-learn")

Data = tuple[torch.Tensor, torch.Tensor]


def digits() -> tuple[Data, Data]:
    """Images of 8 x 8 grey values in 0..1 and their labels, to train on and to test on."""
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(images / 16.0, labels, test_size=0.25, random_state=0, stratify=labels)
    x_train, x_test, y_train, y_test = split
    return (
        (torch.tensor(x_train, dtype=torch.float32).reshape(-1, 1, 8, 8), torch.tensor(y_train)),
        (torch.tensor(x_test, dtype=torch.float32).reshape(-1, 1, 8, 8), torch.tensor(y_test)),
    )


def network() -> torch.nn.Sequential:
    """Two convolutions and a linear layer: 38,000 weights."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 32, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(32, 64, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Dropout(0.25),
        torch.nn.Linear(64 * 4 * 4, 10),
    )


def accuracy(model: torch.nn.Module, data: Data) -> float:
    model.eval()
    with torch.no_grad():
        return float((model(data[0]).argmax(dim=1) == data[1]).float().mean())


def train(epochs: int, lr: float, batch: int) -> torch.nn.Module:
    torch.manual_seed(0)
    train_data, test_data = digits()
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for epoch in range(epochs):
        model.train()
        loss = torch.zeros(())
        for rows in torch.randperm(len(train_data[0])).split(batch):
            loss = torch.nn.functional.cross_entropy(model(train_data[0][rows]), train_data[1][rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            log("loss", loss.item())
        reached = accuracy(model, test_data)
        log("accuracy", reached)
        print(f"epoch {epoch + 1:2d}/{epochs}  loss {loss.item():.4f}  accuracy {reached:.4f}", flush=True)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a small network on handwritten digits.")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=32)
    args = parser.parse_args()
    model = train(args.epochs, args.lr, args.batch)
    os.makedirs("outputs", exist_ok=True)
    torch.save(model.state_dict(), "outputs/model.pt")
    print("the trained weights are in outputs/model.pt")


if __name__ == "__main__":
    main()
