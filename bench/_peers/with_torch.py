"""PyTorch: eager in two forms, with a DataLoader, compiled, and with CUDA graphs."""

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from .case import ADAM, RMSPROP, SGD, Case
from .peer import LeftOutError, Peer

Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]


class Torch(Peer):
    """Eager mode: data in one tensor, batches by ``index_select``, the default optimizer."""

    optimizer_form: ClassVar[dict[str, bool]] = {}

    def __init__(self, case: Case, X: Any, y: np.ndarray) -> None:
        torch.set_num_threads(case.threads)
        self.case, self.device = case, torch.device(case.device)
        self.X = torch.from_numpy(X).to(self.device)
        labels = y.astype(np.float32)[:, None] if case.is_binary else y
        self.y = torch.from_numpy(labels).to(self.device)
        layers: list[nn.Module] = []
        for weights, _ in case.weights():
            layers += [nn.Linear(*weights.shape), nn.ReLU()]
        self.model = nn.Sequential(*layers[:-1]).to(self.device)
        self.criterion = nn.BCEWithLogitsLoss() if case.is_binary else nn.CrossEntropyLoss()
        self.restart()

    def restart(self) -> None:
        """Copy in the initial weights, and make a new optimizer."""
        dense = [layer for layer in self.model if isinstance(layer, nn.Linear)]
        with torch.no_grad():
            for layer, (weights, biases) in zip(dense, self.case.weights(), strict=True):
                layer.weight.copy_(torch.from_numpy(weights.T))
                layer.bias.copy_(torch.from_numpy(biases))
        self.optimizer = self.make_optimizer()

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Return the case's optimizer, in this class's form."""
        parameters, form = self.model.parameters(), self.optimizer_form
        if self.case.optimizer == "sgd":
            rate, momentum = SGD["learning_rate"], SGD["momentum"]
            return torch.optim.SGD(parameters, rate, momentum, **form)
        if self.case.optimizer == "adam":
            betas = ADAM["beta_1"], ADAM["beta_2"]
            return torch.optim.Adam(
                parameters, ADAM["learning_rate"], betas, ADAM["epsilon"], **form
            )
        return torch.optim.RMSprop(
            parameters, RMSPROP["learning_rate"], RMSPROP["rho"], RMSPROP["epsilon"], **form
        )

    def batches(self) -> Batches:
        """Yield the batches of an epoch."""
        n, size = len(self.y), self.case.batch_size
        order = torch.randperm(n, device=self.device)
        for start in range(0, n, size):
            index = order[start : start + size]
            yield self.X.index_select(0, index), self.y.index_select(0, index)

    def loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return a batch's loss."""
        return self.criterion(self.model(x), y)

    def epoch(self) -> float:
        """Train; the losses are summed on the device and read once."""
        total = torch.zeros((), device=self.device)
        for _ in range(self.case.epochs):
            for x, y in self.batches():
                loss = self.loss(x, y)
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                total.add_(loss.detach(), alpha=len(x))
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return total.item() / (len(self.y) * self.case.epochs)


class TorchFused(Torch):
    """Eager mode with the fused optimizer."""

    optimizer_form: ClassVar[dict[str, bool]] = {"fused": True}

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Return the fused optimizer."""
        if self.case.optimizer == "rmsprop":
            raise LeftOutError("PyTorch has no fused RMSprop")
        return super().make_optimizer()


class TorchLoader(Torch):
    """Eager mode with a ``DataLoader``, as in tutorials."""

    def __init__(self, case: Case, X: Any, y: np.ndarray) -> None:
        super().__init__(case, X, y)
        on_gpu = self.device.type == "cuda"  # then batches are moved from pinned memory
        data = torch.utils.data.TensorDataset(self.X.cpu(), self.y.cpu())
        self.loader = torch.utils.data.DataLoader(
            data, batch_size=case.batch_size, shuffle=True, pin_memory=on_gpu
        )

    def batches(self) -> Batches:
        """Yield the loader's batches."""
        for x, y in self.loader:
            yield x.to(self.device, non_blocking=True), y.to(self.device, non_blocking=True)


class TorchCompile(Torch):
    """Network and loss compiled, with the fused optimizer if there is one."""

    note = "network and loss are compiled; the optimizer is fused if PyTorch has a fused form"

    def __init__(self, case: Case, X: Any, y: np.ndarray) -> None:
        torch.compiler.reset()  # else earlier cells count as changing shapes
        if case.optimizer != "rmsprop":
            self.optimizer_form = {"fused": True}  # type: ignore[misc]
        super().__init__(case, X, y)
        self.compiled = torch.compile(super().loss)

    def loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return a batch's loss by the compiled function."""
        return self.compiled(x, y)


class TorchGraph(Torch):
    """Each step captured in a CUDA graph, with the fused optimizer.

    It follows PyTorch's notes on CUDA graphs: a few warm-up steps on another stream, gradients that
    are None when the capture begins, and no zeroing in the graph. So the backward pass writes
    gradients to the graph's memory instead of accumulating them.
    """

    note = "a step is one CUDA graph, the short last step another; the optimizer is fused"

    def __init__(self, case: Case, X: Any, y: np.ndarray) -> None:
        if case.device != "cuda":
            raise LeftOutError("CUDA graphs are for a GPU")
        if case.optimizer == "rmsprop":
            raise LeftOutError("PyTorch has no fused RMSprop")
        self.optimizer_form = {"fused": True}  # type: ignore[misc]
        if case.optimizer == "adam":
            self.optimizer_form |= {"capturable": True}
        super().__init__(case, X, y)

    def restart(self) -> None:
        """Restart with new graphs, since the optimizer's arrays are new."""
        super().restart()
        self.graphs: dict[int, tuple[Any, torch.Tensor, torch.Tensor, torch.Tensor]] = {}
        rest = len(self.y) % self.case.batch_size
        for size in {self.case.batch_size, rest} - {0}:
            self.graphs[size] = self.capture(size)

    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Take a step, with gradients that are None before; return the loss."""
        loss = self.loss(x, y)
        loss.backward()
        self.optimizer.step()
        return loss

    def capture(self, size: int) -> tuple[Any, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the graph of a step, its input tensors and its loss tensor."""
        x, y = self.X[:size].clone(), self.y[:size].clone()
        kept = [parameter.detach().clone() for parameter in self.model.parameters()]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # allocate everything that the first steps create
            for _ in range(3):
                self.optimizer.zero_grad(set_to_none=True)
                self.step(x, y)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(graph):
            loss = self.step(x, y)
        # Undo the warm-up steps, in the same memory.
        with torch.no_grad():
            for parameter, before in zip(self.model.parameters(), kept, strict=True):
                parameter.copy_(before)
            for state in self.optimizer.state.values():
                for value in state.values():
                    if isinstance(value, torch.Tensor):
                        value.zero_()
        return graph, x, y, loss

    def epoch(self) -> float:
        """Train; the losses are summed on the device and read once."""
        total = torch.zeros((), device=self.device)
        n, size = len(self.y), self.case.batch_size
        for _ in range(self.case.epochs):
            order = torch.randperm(n, device=self.device)
            for start in range(0, n, size):
                index = order[start : start + size]
                graph, x, y, loss = self.graphs[len(index)]
                torch.index_select(self.X, 0, index, out=x)
                torch.index_select(self.y, 0, index, out=y)
                graph.replay()
                total.add_(loss.detach(), alpha=len(index))
        torch.cuda.synchronize()
        return total.item() / (n * self.case.epochs)
