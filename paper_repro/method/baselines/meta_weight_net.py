"""Meta-Weight-Net (Shu et al. 2019): the weight of an example is a learnt function of its loss, w = V(CE).

V is a perceptron with one hidden layer of 100 and a sigmoid. Before each update it takes a step of Adam on the dev
loss of a batch at theta' = theta - rate * mean_i V(CE_i) grad CE_i, where

    dL_dev(theta') / dV = -rate/batch * sum_i <G, grad CE_i> dV(CE_i)/dV,    G = grad L_dev(theta').

The model is then trained on mean(V(CE) * CE), not normalised, with a fresh forward pass and the V just learnt. The
look-ahead is plain SGD at ``look_ahead_rate``, 0.1 as in the authors' code, whatever the model's own rate is: V's
gradient is proportional to it, and at a rate of 1e-3 or less V's weight decay would outweigh that gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import grad

from paper_repro.method.baselines.look_ahead import (
    LookAhead,
    Parameters,
    alignments,
    dropout_from,
    dropout_state,
)
from paper_repro.model.batches import Batch
from paper_repro.tools.errors import UserError

HIDDEN = 100
RATE, DECAY = 1e-3, 1e-4
"""Learning rate and weight decay of V."""


class Step(LookAhead):
    """loss = mean(V(CE) * CE). Raises UserError for a rate out of range."""

    def __init__(self, *arguments: Any, look_ahead_rate: float) -> None:
        if look_ahead_rate <= 0:
            raise UserError(f"meta_weight_net: look_ahead_rate={look_ahead_rate:g}: expected above 0")
        super().__init__(*arguments)
        self.look_ahead_rate = look_ahead_rate
        with torch.random.fork_rng(devices=[]):  # torch's global generator is left as it was
            torch.manual_seed(self.order.initial_seed())
            net = nn.Sequential(nn.Linear(1, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1), nn.Sigmoid())
        self.net = net.to(self.device)
        self.net_optimiser = torch.optim.Adam(self.net.parameters(), lr=RATE, weight_decay=DECAY)

    def v(self, losses: Tensor) -> Tensor:
        """V of each loss, (examples,); no gradient through the losses."""
        weights: Tensor = self.net(losses.detach().unsqueeze(1)).squeeze(1)
        return weights

    def weight(self, batch: Batch, labels: Tensor, log_p: Tensor) -> Tensor:
        parameters, rate = self.parameters_by_name(), self.look_ahead_rate
        losses = self.losses(batch, self.labels)

        def weighted(parameters: Parameters) -> Tensor:
            found = losses(parameters)
            return (self.v(found).detach() * found).mean()

        state = dropout_state(self.device)
        step = grad(weighted)(parameters)
        ahead = {name: tensor - rate * step[name] for name, tensor in parameters.items()}
        on_dev = self.dev_gradient(ahead, self.dev_draw(len(labels)))
        with dropout_from(state, self.device):  # the very pass of the look-ahead once more
            values, products = alignments(losses, parameters, on_dev)
        self.finite(products)
        self.net_optimiser.zero_grad()
        # The gradient of this scalar with respect to V is that of the dev loss after the look-ahead.
        (-rate * (products.detach() * self.v(values)).mean()).backward()  # type: ignore[no-untyped-call]
        self.net_optimiser.step()
        return self.v(-log_p).detach()
