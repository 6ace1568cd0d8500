"""Where every component runs: the container image, the volume of the training steps, and the secret of the exit step,
named in one place.

KFP caches by image name, so a tag must be immutable. Compile for another target with
`PINREC_IMAGE=registry.example/pinrec:0.1.0 PINREC_CLAIM=pinrec:/mnt/pinrec pinrec compile --output FILE`.
"""

import os

IMAGE = os.environ.get("PINREC_IMAGE", "pinrec:0.1.0")
# "claim:folder": the PersistentVolumeClaim that pretrain and finetune mount, and where. It keeps their place when the
# pod goes ([launch] checkpoints), and is what they share with their TrainJob ([launch.trainjob] claim and volume).
CLAIM, _, CLAIM_FOLDER = os.environ.get("PINREC_CLAIM", "").partition(":")
# The Kubernetes secret with the key PINREC_WEBHOOK_SECRET: it signs what notify sends ([notify] secret_env).
NOTIFY_SECRET = os.environ.get("PINREC_NOTIFY_SECRET", "")
SECRET_KEY = "PINREC_WEBHOOK_SECRET"
RUN_UID = "PINREC_RUN_UID"  # environment variable in which the pods of cached steps, and notify's, have the run's id
