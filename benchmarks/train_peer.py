"""RecBole's SASRec on the reviews that benchmarks/train.py wrote: speed and peak RSS, in an environment of its own.

Its model, its data loader and its trainer's loop (`_train_epoch`) with their defaults: CE loss over the whole
catalogue, Adam, 2,048 sequences a batch, dropout .5. How many batches are run is ours, for an epoch takes minutes.
"""

from __future__ import annotations

import itertools
import json
import resource
import sys
import time
import warnings

warnings.filterwarnings("ignore")

from recbole.config import Config  # noqa: E402
from recbole.data import create_dataset, data_preparation  # noqa: E402
from recbole.utils import get_model, get_trainer, init_seed  # noqa: E402


class FirstBatches:
    """A data loader that ends after so many batches."""

    def __init__(self, loader, batches: int):
        self.loader, self.batches = loader, batches

    def __iter__(self):
        return itertools.islice(iter(self.loader), self.batches)

    def __getattr__(self, name: str):
        return getattr(self.loader, name)


def main() -> None:
    """Prepare, warm up on one batch, time the others."""
    told = json.loads(sys.argv[1])
    config = Config(model="SASRec", dataset="beauty", config_dict={
        "data_path": told["folder"], "checkpoint_dir": told["folder"], "load_col": {"inter": ["user_id", "item_id",
                                                                                              "timestamp"]},
        "hidden_size": told["width"], "inner_size": 4 * told["width"], "n_layers": told["layers"],
        "n_heads": told["heads"], "MAX_ITEM_LIST_LENGTH": told["length"], "loss_type": "CE",
        "train_neg_sample_args": None, "use_gpu": False, "show_progress": False, "state": "ERROR",
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full", "group_by": None}})
    init_seed(config["seed"], config["reproducibility"])
    dataset = create_dataset(config)
    loader, _, _ = data_preparation(config, dataset)
    model = get_model(config["model"])(config, loader.dataset)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    trainer._train_epoch(FirstBatches(loader, 1), 0)
    start, cpu = time.perf_counter(), time.process_time()
    trainer._train_epoch(FirstBatches(loader, told["batches"]), 1)
    seconds, positions = time.perf_counter() - start, told["batches"] * config["train_batch_size"]
    users = loader.dataset.user_num - 1
    whole = len(loader.dataset)  # positions of an epoch
    print(json.dumps({"positions_s": positions / seconds, "positions_cpu_s": positions / (time.process_time() - cpu),
                      "users_s": users * positions / whole / seconds, "epoch_s": whole / positions * seconds,
                      "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    main()
