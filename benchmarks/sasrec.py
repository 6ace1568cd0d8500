"""SASRec (arXiv 1808.09781) as a peer: a causal Transformer over item ids, and nothing else.

Two losses: "bce" as it is usually copied (binary cross-entropy, one uniform negative per position) and "softmax" (over
the whole catalogue, or over uniform negatives where it is large), which is the strongest simple form known. Learned
item embeddings tied to the output, learned positions counted back from the newest item as left padding does, post-norm
blocks and dropout; inner products, not cosines. Batches hold sequences of similar length, padded to their own longest.

    scorer = train_sasrec(item_E, offsets_U1, n_items, SasrecConfig(), validate=lambda scorer: hit_rate(scorer))
    scores_RI = scorer([np.array([4, 7]), np.array([9])])

Suffixes: U sequences, E their items, B rows of a batch, T positions, N predicted ones, I items, D width, R requests.
"""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

logger = logging.getLogger("pinrec")
_BUCKET_BATCHES = 32  # rows of this many batches are sorted by length together
_BLOCK = 256  # positions whose scores of all items are held at a time
_SCORED = 256  # histories scored at a time


@dataclass(frozen=True, kw_only=True)
class SasrecConfig:
    """Sizes and training of one SASRec."""

    loss: Literal["bce", "softmax"] = "softmax"
    width: int = 64  # of item embeddings and hidden states
    layers: int = 2
    heads: int = 2
    max_length: int = 50  # newest items that are seen
    dropout: float = 0.5
    bf16: bool = True  # products with the whole catalogue in bfloat16, as autocast has them: 1.7 times as fast
    negatives: int = 0  # uniform negatives per step for "softmax", shared by its positions; 0 = the whole catalogue
    learning_rate: float = 1e-3  # Adam, constant
    batch_size: int = 128  # sequences per step
    epochs: int = 200  # at most
    patience: int = 10  # validations without improvement before stopping
    validate_every: int = 1  # epochs
    seed: int = 0


class Sasrec(nn.Module):
    """Hidden states of item sequences; scores are inner products with the item embeddings."""

    def __init__(self, n_items: int, config: SasrecConfig):
        super().__init__()
        self.config, self.n_items = config, n_items
        self.item = nn.Embedding(n_items, config.width)
        self.position = nn.Embedding(config.max_length, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.blocks = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(config.width, config.heads, 4 * config.width, config.dropout, "gelu",
                                       batch_first=True), config.layers, enable_nested_tensor=False)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, item_BT: Tensor, length_B: Tensor) -> Tensor:
        """Hidden states [B, T, D]; what stands at a position has seen it and those before it. Rows are right-padded."""
        age_BT = (length_B[:, None] - 1 - torch.arange(item_BT.shape[1])).clamp(min=0)
        x_BTD = F.dropout(self.norm(self.item(item_BT) + self.position(age_BT)), self.config.dropout, self.training)
        mask_TT = nn.Transformer.generate_square_subsequent_mask(item_BT.shape[1])
        return self.blocks(x_BTD, mask=mask_TT, is_causal=True)


class Scorer:
    """Item scores for histories; an empty one is answered with how often each item was trained on."""

    def __init__(self, model: Sasrec, count_I: np.ndarray):
        self.model, self.count_I = model, count_I.astype(np.float32)

    @torch.inference_mode()
    def __call__(self, histories: Sequence[np.ndarray]) -> np.ndarray:
        """Scores [R, I] float32, higher is better; items of a history are oldest first."""
        self.model.eval()
        out_RI = np.tile(self.count_I, (len(histories), 1))
        asked = [row for row, history in enumerate(histories) if len(history)]
        asked.sort(key=lambda row: len(histories[row]))
        for first in range(0, len(asked), _SCORED):
            rows = asked[first:first + _SCORED]
            item_BT, length_B = _padded([histories[row][-self.model.config.max_length:] for row in rows])
            hidden_BD = self.model(item_BT, length_B)[torch.arange(len(rows)), length_B - 1]
            out_RI[rows] = (hidden_BD @ self.model.item.weight.T).numpy()
        return out_RI


def train_sasrec(item_E: np.ndarray, offsets_U1: np.ndarray, n_items: int, config: SasrecConfig,
                 validate: Callable[[Scorer], float] | None = None, deadline: float = math.inf) -> Scorer:
    """Train on sequences (those of user u are item_E[offsets[u]:offsets[u + 1]], oldest first).

    Every item but the first is predicted from the `max_length` before it at most. `validate` gives a number to
    maximise; the weights that reach most are kept. Training also ends when time.monotonic() passes `deadline`.
    """
    torch.manual_seed(config.seed)
    generator = np.random.default_rng(config.seed)
    model = Sasrec(n_items, config)
    scorer = Scorer(model, np.bincount(item_E, minlength=n_items))
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate, betas=(0.9, 0.98))
    windows = _windows(item_E, offsets_U1, config.max_length)
    best, best_epoch, best_weights = -math.inf, 0, copy.deepcopy(model.state_dict())
    for epoch in range(1, config.epochs + 1):
        model.train()
        losses = [_step(model, optimizer, batch) for batch in _batches(windows, config.batch_size, generator)
                  if time.monotonic() < deadline]
        over = time.monotonic() >= deadline or epoch == config.epochs
        if validate is None:
            best_weights = None
        elif over or epoch % config.validate_every == 0:
            found = validate(scorer)
            logger.info("sasrec %s epoch %d loss %.4f validation %.4f", config.loss, epoch,
                        np.mean(losses) if losses else math.nan, found)
            if found > best:
                best, best_epoch, best_weights = found, epoch, copy.deepcopy(model.state_dict())
            over = over or epoch - best_epoch >= config.patience * config.validate_every
        if over:
            break
    if best_weights is not None:
        model.load_state_dict(best_weights)
    return scorer


def _step(model: Sasrec, optimizer: torch.optim.Optimizer, windows: list[np.ndarray]) -> float:
    """One update from windows whose items but the first are targets. Returns the loss."""
    item_BT, length_B = _padded(windows)
    hidden_BTD = model(item_BT[:, :-1], length_B - 1)
    valid_BT = torch.arange(item_BT.shape[1] - 1) < length_B[:, None] - 1
    loss = _loss(model, hidden_BTD[valid_BT], item_BT[:, 1:][valid_BT])
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.item()


class FullSoftmax(torch.autograd.Function):
    """Mean cross-entropy over the catalogue, a block of positions at a time, with gradients made on the way forward.

    The logits of all positions at once do not fit into a cache and would be written and read six times; this is 1.7
    times as fast.
    """

    @staticmethod
    def forward(ctx, hidden_ND: Tensor, table_ID: Tensor, item_N: Tensor, kind: torch.dtype) -> Tensor:
        """Gradient of a block: (softmax - one-hot) / N times the other factor of the product."""
        grad_ND, grad_ID, total, table = [], torch.zeros_like(table_ID), 0.0, table_ID.to(kind)
        for hidden, item in zip(hidden_ND.to(kind).split(_BLOCK), item_N.split(_BLOCK), strict=True):
            p_NI = (hidden @ table.T).float()
            top_N1 = p_NI.amax(1, keepdim=True)
            at = (torch.arange(len(item)), item)
            total -= (p_NI[at] - top_N1.squeeze(1)).sum()
            sum_N1 = p_NI.sub_(top_N1).exp_().sum(1, keepdim=True)
            total += sum_N1.log().sum()
            p_NI.div_(sum_N1)[at] -= 1
            delta = p_NI.to(kind)
            grad_ND.append((delta @ table).float())
            grad_ID += (delta.T @ hidden).float()
        ctx.save_for_backward(torch.cat(grad_ND) / len(item_N), grad_ID / len(item_N))
        return total / len(item_N)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Scale what was made on the way forward."""
        hidden, table = ctx.saved_tensors
        return grad * hidden, grad * table, None, None


def _loss(model: Sasrec, hidden_ND: Tensor, item_N: Tensor) -> Tensor:
    """Mean loss over positions. Sampled: R uniform draws stand for I items, so each counts I / R times (log added)."""
    config, table_ID = model.config, model.item.weight
    if config.loss == "softmax" and not config.negatives:
        return FullSoftmax.apply(hidden_ND, table_ID, item_N, torch.bfloat16 if config.bf16 else torch.float32)
    positive_N = (hidden_ND * table_ID[item_N]).sum(1)
    if config.loss == "bce":
        other_N = torch.randint(model.n_items, item_N.shape)
        negative_N = (hidden_ND * table_ID[other_N]).sum(1)
        return (F.softplus(-positive_N) + F.softplus(negative_N) * (other_N != item_N)).mean()
    drawn_R = torch.randint(model.n_items, (config.negatives,))
    logits_NR = hidden_ND @ table_ID[drawn_R].T + math.log(model.n_items / config.negatives)
    logits_NR = logits_NR.masked_fill(drawn_R == item_N[:, None], -math.inf)
    return (torch.logaddexp(positive_N, logits_NR.logsumexp(1)) - positive_N).mean()


def _windows(item_E: np.ndarray, offsets_U1: np.ndarray, max_length: int) -> list[np.ndarray]:
    """Every sequence cut, from the newest back, into windows of max_length + 1 that share one item with the next."""
    windows = []
    for start, stop in zip(offsets_U1[:-1], offsets_U1[1:], strict=True):
        for end in range(int(stop), int(start) + 1, -max_length):
            windows.append(item_E[max(start, end - max_length - 1):end].astype(np.int64))
    return windows


def _batches(windows: list[np.ndarray], batch_size: int, generator: np.random.Generator) -> Iterator[list[np.ndarray]]:
    """One epoch in random order, windows of similar length together."""
    order = generator.permutation(len(windows))
    chunks = []
    for first in range(0, len(order), batch_size * _BUCKET_BATCHES):
        part = sorted(order[first:first + batch_size * _BUCKET_BATCHES], key=lambda row: len(windows[row]))
        chunks += [part[i:i + batch_size] for i in range(0, len(part), batch_size)]
    for i in generator.permutation(len(chunks)):
        yield [windows[row] for row in chunks[i]]


def _padded(sequences: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Right-padded items [B, T] (padding is item 0, which causality keeps out of sight) and lengths [B]."""
    rows = [torch.from_numpy(np.ascontiguousarray(sequence, np.int64)) for sequence in sequences]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.tensor([len(row) for row in rows])
