"""KFP component: event log and catalog -> training dataset."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def aggregate_logs(
    events: str, catalog: str, date: str, log: str, aggregate: str,
    dataset: dsl.Output[dsl.Dataset], metrics: dsl.Output[dsl.Metrics], previous: str = "", store: str = "",
    registry: str = "",
):
    """Turn the event partitions up to a date into the training dataset.

    Args:
        events: Folder or URI with date=YYYY-MM-DD partitions of the event log.
        catalog: Folder or URI of the item catalog.
        date: Last day to read, inclusive, YYYY-MM-DD.
        log: Section [log] as JSON.
        aggregate: Section [aggregate] as JSON.
        previous: An earlier dataset of this log, whose cleaned partitions are taken over; "" = read everything.
        store: Folder or URI for the data, of which the artifact then says only where they are; "" = it holds them.
        registry: Folder or URI of the release registry, to tell there why it fails; "" = nowhere.

    Returns:
        dataset: Items, sequences, feed views, statistics and quarantined rows.
        metrics: Row counts.
    """
    from pathlib import Path

    from components.artifacts import describe, log_metrics, recorded
    from pinrec_core.config import AggregateConfig, LogConfig
    from pinrec_core.logs.aggregate import aggregate_logs as run
    from pinrec_core.store import kept

    with recorded(registry, "", "aggregate-logs"), kept(Path(dataset.path), store) as output:
        manifest = run(events, catalog, output, log=LogConfig.parse(log),
                       aggregate=AggregateConfig.parse(aggregate), date=date, previous=previous)
    describe(dataset, manifest)
    log_metrics(metrics, manifest.counts)
