"""`pinrec`: every step as a plain command, calling the very functions the pipeline's components call.

One module per group of commands. Nothing heavy is imported before a command runs. What needs kfp (`run`, `compile`)
is added by pipelines/cli.py, because pinrec_core knows nothing of kfp.
"""
