"""Digits: a small convolutional network, exported by torch's own ONNX exporter."""

import numpy as np
import torch
from onnx import checker, load
from sklearn.datasets import load_digits
from torch import nn

import common

LABELS = [str(digit) for digit in range(10)]
EPOCHS = 30
BATCH = 64


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(16 * 4 * 4, 32),
            nn.ReLU(),
            nn.Linear(32, 10),
        )

    def forward(self, image):
        # Pixels are 0 to 16. Scaling here lets callers send them as they are.
        return self.layers(image / 16.0)


def as_images(X):
    return torch.from_numpy(X).reshape(-1, 1, 8, 8)


def train(X, y):
    torch.manual_seed(common.SEED)
    torch.set_num_threads(1)
    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    images, targets = as_images(X), torch.from_numpy(y)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images[batch]), targets[batch]).backward()
            optimizer.step()
    return net.eval()


def export(net, path):
    torch.onnx.export(
        net,
        torch.zeros(1, 1, 8, 8),
        str(path),
        opset_version=common.OPSET,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}},
    )
    checker.check_model(load(str(path)), full_check=True)


def probabilities(net, X):
    # In double, so that the golden values carry no rounding of their own.
    with torch.no_grad():
        return torch.softmax(net.double()(as_images(X).double()), dim=1).numpy()


def main():
    data = common.load_float32(load_digits)
    X_train, X_test, y_train, y_test = common.split(data)
    net = train(X_train, y_train)
    export(net, common.model_path("digits", "1", "model.onnx"))
    accuracy = np.mean(probabilities(net, X_test).argmax(axis=1) == y_test)
    common.report("digits", "1", "accuracy", accuracy)
    rows = common.golden_rows(data)
    common.write_classifier_golden("digits", "1", rows, probabilities(net, rows), LABELS)


if __name__ == "__main__":
    main()
