"""Parts of aggregate_logs: find and read the inputs, clean, spill by user shard, build each shard, count, seal."""
