"""The synthetic world as Arrow tables: a day's views and impressions as events, pins and queries as a catalog."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pinrec_core.logs.importers.catalog_writer import attribute_lists, labelled, write_catalog
from pinrec_core.logs.importers.event_writer import DAY_MS, WRITTEN_EVENTS
from pinrec_core.logs.world.day import ACTIONS, NO_CONTEXT, SEARCH, Shown, Views
from pinrec_core.logs.world.inhabitants import SURFACES, Catalogue, WorldConfig

TOPIC_WORDS = ("kitchen", "garden", "travel", "sneakers", "hairstyle", "tattoo", "wedding", "bookshelf", "cake",
               "camping", "nails", "balcony", "workout", "poster", "ceramics", "knitting", "van", "salad", "jewelry",
               "nursery", "bathroom", "bicycle", "painting", "photography", "lamp", "coat", "bread", "desk", "aquarium",
               "origami", "terrace", "breakfast", "makeup", "costume", "logo", "cabin", "soup", "quilt", "surf", "dog")
STYLE_WORDS = ("minimal", "rustic", "colorful", "vintage")
ITEM_TYPES = ("pin", "query")


def day_events(views: Views, shown: Shown, world: WorldConfig, day: int) -> pa.Table:
    """Every event of one day in time order, columns of EVENTS.

    A query shares its time and request with the feed it opens: it is asked when the request is made.
    """
    asked = np.flatnonzero(views.surface_V == SEARCH)
    view, item, action, time, position = ([asked], [world.items + views.context_V[asked]],
                                          [np.full(len(asked), ACTIONS.index("search"))], [views.start_V[asked]],
                                          [np.full(len(asked), -1)])
    for name, time_X in (("impression", shown.time_X), *shown.action_times.items()):
        x = np.flatnonzero(time_X >= 0)
        view.append(shown.view_X[x])
        item.append(shown.pin_X[x])
        action.append(np.full(len(x), ACTIONS.index(name)))
        time.append(time_X[x])
        position.append(shown.position_X[x])
    view_E, item_E, action_E, time_E, position_E = map(np.concatenate, (view, item, action, time, position))
    order = np.lexsort((action_E, position_E, view_E, time_E))
    return _as_events(views, (view_E[order], item_E[order], action_E[order], time_E[order], position_E[order]), world,
                      day)


def write_world_catalog(folder: Path, catalogue: Catalogue, world: WorldConfig) -> int:
    """Write pins, then queries, with content vectors, attributes and readable titles; returns how many."""
    topics = _topic_names(world.topics)
    topic = pa.array(topics).take(pa.array(np.concatenate([catalogue.topic_I, catalogue.topic_Q])))
    styles = 2 * (catalogue.style_IS[:, 0] > 0) + (catalogue.style_IS[:, -1] > 0)
    style = pa.array(STYLE_WORDS).take(pa.array(styles))
    number_I = pa.array(np.arange(world.items)).cast(pa.string())
    number_Q = pa.array(np.arange(world.queries) // world.topics + 1).cast(pa.string())
    pin_title = pc.binary_join_element_wise(style, topic[: world.items], number_I, " ")
    query_title = pc.binary_join_element_wise(topic[world.items:], "ideas", number_Q, " ")
    content = np.concatenate([catalogue.content_IC, catalogue.content_QC])
    offsets = np.arange(0, content.size + 1, world.content_dim, dtype=np.int32)
    created = pa.array(start_ms(world) + catalogue.created_I * DAY_MS)
    return write_catalog(folder, {
        "item_id": _item_ids(world), "item_type": pa.array(np.repeat(ITEM_TYPES, (world.items, world.queries))),
        "content": pa.ListArray.from_arrays(offsets, content.ravel()),
        "attributes": attribute_lists(len(topic), [labelled("topic", topic), labelled("style", style)]),
        "title": pa.concat_arrays([pin_title, query_title]),
        "created_ms": pa.concat_arrays([created, pa.nulls(world.queries, pa.int64())])}, "synthetic world")


def _as_events(views: Views, flat: tuple[np.ndarray, ...], world: WorldConfig, day: int) -> pa.Table:
    view_E, item_E, action_E, time_E, position_E = flat
    item_ids = _item_ids(world)
    is_query_E = item_E >= world.items
    context_V = np.where(views.surface_V == SEARCH, world.items + views.context_V, views.context_V)
    no_context_E = is_query_E | (views.context_V == NO_CONTEXT)[view_E]
    requests = pc.binary_join_element_wise(f"r{day}", pa.array(np.arange(len(context_V))).cast(pa.string()), "-")
    user_ids = pc.binary_join_element_wise("u", pa.array(np.arange(world.users)).cast(pa.string()), "")
    midnight = start_ms(world) + day * DAY_MS
    return pa.table([
        user_ids.take(pa.array(views.user_V[view_E])), item_ids.take(pa.array(item_E)),
        pa.array(ITEM_TYPES).take(pa.array(is_query_E.astype(np.int8))),
        pa.array(SURFACES).take(pa.array(views.surface_V[view_E])), pa.array(ACTIONS).take(pa.array(action_E)),
        pa.array(midnight + time_E), requests.take(pa.array(view_E)),
        pa.array(position_E.astype(np.int32), mask=position_E < 0),
        item_ids.take(pa.array(context_V[view_E], mask=no_context_E))], schema=WRITTEN_EVENTS)


def start_ms(world: WorldConfig) -> int:
    """UTC milliseconds at which the first day begins."""
    return int(np.datetime64(world.first_day, "ms").astype(np.int64))


def _item_ids(world: WorldConfig) -> pa.Array:
    pins = pc.binary_join_element_wise("p", pa.array(np.arange(world.items)).cast(pa.string()), "")
    queries = pc.binary_join_element_wise("q", pa.array(np.arange(world.queries)).cast(pa.string()), "")
    return pa.concat_arrays([pins, queries])


def _topic_names(topics: int) -> list[str]:
    rounds = [(t // len(TOPIC_WORDS), TOPIC_WORDS[t % len(TOPIC_WORDS)]) for t in range(topics)]
    return [f"{word} {again + 1}" if again else word for again, word in rounds]
