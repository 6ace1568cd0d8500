"""Training dataset -> batches: memory-light columns, histories, training windows, feed views."""
