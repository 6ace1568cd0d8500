"""Start a training where [launch] says, and start it again when it was killed: `start.launch`.

A launcher makes one attempt: it returns when the worker is done, and raises the worker's own error, WorkerDied when
starting again may help, Preempted when this process was asked to stop.
"""
