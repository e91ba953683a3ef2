"""Train a 2-bit network on handwritten digits with a loop of one's own, and lower it to integers.

Run it with ``python python/train_digits.py``.  Everything that is vecq's own is marked.
"""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from vecq_hw import storage
from vecq_hw.data import load
from vecq_hw.lower import lower, prediction_differences
from vecq_hw.simulate import network_inputs, predictions, simulate
from vecq_hw.train import LayerQuantization, evaluate, quantize_model

torch.manual_seed(0)
data = load("digits")
samples = TensorDataset(torch.from_numpy(data.x_train), torch.from_numpy(data.y_train))
loader = DataLoader(samples, batch_size=64, shuffle=True)


class Digits(nn.Module):
    """An ordinary float network."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(32)
        self.fc = nn.Linear(32 * 2 * 2, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores of the ten digits, (N, 10)."""
        x = nn.functional.max_pool2d(torch.relu(self.norm1(self.conv1(x))), 2)
        x = nn.functional.max_pool2d(torch.relu(self.norm2(self.conv2(x))), 2)
        return self.fc(x.flatten(1))


# vecq: 2-bit weights and 8-bit activations, but 4-bit weights in the first layer.
model = quantize_model(Digits(), 2, 8, overrides={"conv1": LayerQuantization(weight=4)})

epochs = 30
optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
for epoch in range(epochs):
    model.train()
    for images, labels in loader:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
    schedule.step()
    if epoch % 10 == 9:
        print(f"epoch {epoch + 1}: quantized {evaluate(model, data.x_test, data.y_test):.2%}")

# vecq: from here on there are only integers.
network = lower(model, input_shape=data.shape, name="digits")
outputs = simulate(network, network_inputs(network, data.x_test))
print(network)
print(f"integer accuracy {(predictions(network, outputs) == data.y_test).mean():.2%}")
print(f"{prediction_differences(model, network, data.x_test)} predictions differ from the model's")
print(f"SHA-256 {storage.digest(network)}")
