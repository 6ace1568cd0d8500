"""The image that every component names, for KFP's local runners: `docker build -t pinrec:0.1.0 .`.

On a cluster the target's takes its place when the pipeline is compiled ([targets.NAME] image, pipelines/pods.py).
"""

IMAGE = "pinrec:0.1.0"
RUN_UID = "PINREC_RUN_UID"  # environment variable in which the pods of cached steps, and notify's, have the run's id
