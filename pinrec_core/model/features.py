"""Fixed features of every item, as tensors to gather from. Suffixes: I items, C content, A attributes, H hashes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor, nn

from pinrec_core.config import LogConfig, ModelConfig
from pinrec_core.errors import DataError


class ItemFeatures(nn.Module):
    """Buffers derived from items.parquet; never trained, rebuilt from the table and not stored with the weights."""

    content_IC: Tensor  # float32, of length 1; zero rows where the catalog has none
    type_I: Tensor
    id_rows_IH: Tensor  # row of each id table
    known_I: Tensor  # 1.0 where the id was trained on; cold items are described by content alone
    attribute_rows_A: Tensor
    attribute_offsets_I1: Tensor
    retrievable_I: Tensor

    def __init__(self, items: pa.Table, log: LogConfig, config: ModelConfig):
        super().__init__()
        type_I = items["item_type"].to_numpy().astype(np.int64)
        retrievable = [log.item_types.index(name) for name in log.retrievable_types]
        attributes = items["attributes"].combine_chunks()
        buffers = {
            "content_IC": _unit(_content(items["content"])), "type_I": type_I,
            "id_rows_IH": _hash_rows(items["id_hash"].to_numpy(), config.id_hashes, config.id_buckets),
            "known_I": (items["train_count"].to_numpy() > 0).astype(np.float32),
            "attribute_rows_A": _hash_rows(pc.list_flatten(attributes).to_numpy(), 1, config.attribute_buckets)[:, 0],
            "attribute_offsets_I1": np.concatenate([[0], np.cumsum(pc.list_value_length(attributes).to_numpy())]),
            "retrievable_I": np.isin(type_I, retrievable)}
        for name, values in buffers.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(values)), persistent=False)

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.type_I)

    @property
    def content_dim(self) -> int:
        """Length of the content vectors, 0 if the catalog has none."""
        return self.content_IC.shape[1]

    def attributes_of(self, index_N: Tensor) -> tuple[Tensor, Tensor]:
        """Attribute rows of the given items as a flat bag: (rows, offsets [N]) in the form nn.EmbeddingBag takes."""
        start_N = self.attribute_offsets_I1[index_N]
        length_N = self.attribute_offsets_I1[index_N + 1] - start_N
        offsets_N = length_N.cumsum(0) - length_N
        within = torch.arange(int(length_N.sum()), device=index_N.device) - offsets_N.repeat_interleave(length_N)
        return self.attribute_rows_A[start_N.repeat_interleave(length_N) + within], offsets_N


def content_dim(column: pa.ChunkedArray) -> int:
    """Length of the content vectors of an item table, 0 if it has none. Raises DataError if they have several."""
    lengths = pc.unique(pc.drop_null(pc.list_value_length(column))).to_pylist()
    if len(lengths) > 1:
        raise DataError(f"content vectors have lengths {sorted(lengths)[:5]}; one length is needed, mend the catalog")
    return lengths[0] if lengths else 0


def _content(column: pa.ChunkedArray) -> np.ndarray:
    out = np.zeros((len(column), content_dim(column)), np.float32)
    given = pc.is_valid(column).to_numpy()
    if out.shape[1]:
        out[given] = pc.list_flatten(column).to_numpy().reshape(-1, out.shape[1])
    return out


def _unit(rows_IC: np.ndarray) -> np.ndarray:
    """Every row divided by its length, in place; zero rows stay."""
    rows_IC /= np.maximum(np.linalg.norm(rows_IC, axis=1, keepdims=True), 1e-12)
    return rows_IC


def _hash_rows(hashes: np.ndarray, tables: int, buckets: int) -> np.ndarray:
    """Independent rows in `tables` tables for 64-bit hashes, by the splitmix64 finaliser (Steele et al., 2014)."""
    with np.errstate(over="ignore"):
        stream = np.arange(1, tables + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        x = hashes.astype(np.uint64)[:, None] + stream
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((x ^ (x >> np.uint64(31))) % np.uint64(buckets)).astype(np.int64)
