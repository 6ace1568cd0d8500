"""A model that knows more items: the weights stay, the item table grows, new items are described by content alone.

Old items keep their indices and, to the bit, their vectors. A new item is what an item that nobody engaged with in
training has always been: placed by content and attributes, without an id of its own, with the bias of an average item,
followed by nothing.

Legend: N new items, I all items.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
import torch.nn.functional as F

from pinrec_core.errors import DataError
from pinrec_core.model.pinrec import PinRec
from pinrec_core.schemas import ITEMS

_PER_ITEM = "bias."  # weights that have a column per item


def placeable(model: PinRec, items: pa.Table) -> np.ndarray:
    """bool [N]: items that the model can place without training on them: those with content or attributes it reads.

    Raises DataError if content vectors are of another length than the model reads.
    """
    dim = model.item_encoder.features.content_dim
    lengths = set(pc.unique(pc.drop_null(pc.list_value_length(items["content"]))).to_pylist())
    if dim and lengths - {dim}:
        raise DataError(f"the catalog's content vectors have length {min(lengths - {dim})}, the model reads {dim}; "
                        "give new items vectors of the kind it was trained on, or train on the new kind")
    has_content_N = pc.is_valid(items["content"]).to_numpy() & (dim > 0)
    has_attributes_N = pc.list_value_length(items["attributes"]).to_numpy() > 0
    return (has_content_N | has_attributes_N) & model.config.use_content


def extend_items(model: PinRec, new_items: pa.Table) -> PinRec:
    """The same model with `new_items` (schemas.ITEMS; train_count is not looked at) after its own, to be asked only.

    Raises DataError if it knows one of them already or one is there twice.
    """
    items = pa.concat_tables([model.items, _cold(model, new_items)])
    if pc.count_distinct(items["item_id"]).as_py() != items.num_rows:
        raise DataError(f"some of the {new_items.num_rows} new items are known already or named twice; pass each new "
                        "item once")
    extended = PinRec(model.config, model.log, items, model.action_shares)
    more = items.num_rows - model.n_items
    extended.load_state_dict({name: F.pad(weight, (0, more)) if name.startswith(_PER_ITEM) else weight
                              for name, weight in model.state_dict().items()})
    extended.experts = model.experts
    if model.transitions is not None:
        extended.transitions = model.transitions.with_more_items(more)
    return extended.eval()


def extends(model: PinRec, base: PinRec) -> bool:
    """Whether the model is what `extend_items` makes of `base` and the items it has beyond those of `base`."""
    if model.n_items <= base.n_items:
        return False
    again = extend_items(base, model.items.slice(base.n_items))
    weights, expected = model.state_dict(), again.state_dict()
    return (_described(model) == _described(again) and model.items.equals(again.items)
            and weights.keys() == expected.keys()
            and all(torch.equal(weights[name], expected[name]) for name in weights)
            and (model.transitions is None) == (again.transitions is None)
            and (model.transitions is None or model.transitions.equals(again.transitions)))


def _cold(model: PinRec, items: pa.Table) -> pa.Table:
    """The rows as schemas.ITEMS, never trained on; without content if the model knows none."""
    columns = {name: items[name] for name in items.column_names}
    columns["train_count"] = pa.array(np.zeros(items.num_rows, np.int64))
    if not model.item_encoder.features.content_dim:
        columns["content"] = pa.nulls(items.num_rows, ITEMS.field("content").type)
    return pa.table({name: columns[name] for name in ITEMS.names}).cast(ITEMS)


def _described(model: PinRec) -> tuple:
    return model.config, model.log, model.action_shares, model.experts
