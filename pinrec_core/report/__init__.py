"""Run folder, report and message: what people hear of a run, made from JSON files alone."""
