"""AdamW in which large tables are updated row by row, where a step has read them.

Dense Adam touches every row of every table in every step, three reads and three writes of the whole catalogue: a row
that was read once goes on moving by its momentum while its second moment fades. Here a row spends that movement at
once. Left alone after a gradient g at a second moment v, its steps add up to

    lr (1 - b1) g / sqrt(v) (1 + r + r^2 + ...) = lr g / sqrt(v) (1 - b1) / (1 - r),    r = b1 / sqrt(b2),

and v fades by b2 for every step that passes. So a row needs no first moment, one second moment (the mean over its
elements, as in the row-wise Adam of FBGEMM) and the step it was last updated in: 8 bytes a row.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pinrec_core.config import TrainConfig
from pinrec_core.model.pinrec import PinRec

BETAS = (0.9, 0.98)


class RowwiseAdamW(torch.optim.AdamW):
    """AdamW, fused, for parameters with a dense gradient; row-wise Adam without decay for those with a sparse one.

    State of the latter, per parameter: `step`; `square`, the second moment of each row; `seen`, the step of its last
    update. All of it is in state_dict.
    """

    @torch.no_grad()
    def step(self, closure=None) -> None:
        """One update of everything that has a gradient."""
        sparse = [(group, parameter, parameter.grad) for group in self.param_groups for parameter in group["params"]
                  if parameter.grad is not None and parameter.grad.is_sparse]
        for _, parameter, _ in sparse:
            parameter.grad = None  # torch's own step refuses it
        super().step(closure)
        for group, parameter, grad in sparse:
            parameter.grad = grad
            self._step_rows(group, parameter, grad.coalesce())

    def _step_rows(self, group: dict, parameter: Tensor, grad: Tensor) -> None:
        state = self.state[parameter]
        if not state:
            rows = parameter.shape[:grad.sparse_dim()]
            state["step"] = torch.zeros(())
            state["square"], state["seen"] = parameter.new_zeros(rows), parameter.new_zeros(rows)  # exact to 2^24 steps
        state["step"] += 1
        step, (first, second) = state["step"].item(), group["betas"]
        place, values = grad.indices().unbind(0), grad.values()
        squared = values.square().flatten(1).mean(1) if values.ndim > 1 else values.square()
        square = state["square"][place] * second ** (step - state["seen"][place]) + (1 - second) * squared
        state["square"][place], state["seen"][place] = square, torch.full_like(square, step)
        whole_movement = (1 - first) / (1 - first / second**0.5)
        rate = group["lr"] * whole_movement / ((square / (1 - second**step)).sqrt() + group["eps"])
        parameter[place] -= rate.view(-1, *(1 for _ in values.shape[1:])) * values


def optimizer_of(model: PinRec, config: TrainConfig) -> RowwiseAdamW:
    """AdamW that decays the matrices of linear layers only: neither embeddings, norms, biases nor the temperature.

    `of_rate` of a group is its share of the learning rate.
    """
    matrices = {id(layer.weight) for layer in model.modules() if isinstance(layer, torch.nn.Linear)}
    biases = {id(table) for table in model.bias.tables}
    decayed = [parameter for parameter in model.parameters() if id(parameter) in matrices]
    plain = [parameter for parameter in model.parameters() if id(parameter) not in matrices | biases]
    groups = [{"params": decayed, "weight_decay": config.weight_decay, "of_rate": 1.0},
              {"params": plain, "weight_decay": 0.0, "of_rate": 1.0}]
    if biases:
        groups.append({"params": model.bias.tables, "weight_decay": 0.0, "of_rate": config.bias_rate})
    return RowwiseAdamW(groups, lr=config.learning_rate, betas=BETAS, fused=True)
