"""The container image every component runs in, named in one place.

KFP caches by image name, so a tag must be immutable. Compile for another target with
`PINREC_IMAGE=registry.example/pinrec:0.1.0 pinrec compile --output FILE`.
"""

import os

IMAGE = os.environ.get("PINREC_IMAGE", "pinrec:0.1.0")
