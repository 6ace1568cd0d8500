"""The pipeline on a cluster, through the Kubeflow Pipelines API: runs, schedules, backfill, and what is live there.

    errors.py, transport.py   one request: asked, tried again where that is safe, and each failure in one line
    kubeflow.py               what the API holds: experiment, pipeline versions, runs, recurring runs
    submission.py, ending.py  a run of a configuration, and how it ended
    recurring.py, replace.py  a declared schedule as a recurring run, and how the cluster is made to agree
    backfill.py               dates one after another, what is done left alone
"""
