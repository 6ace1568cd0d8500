"""KFP components: one file = one component = one thin function over one step of pinrec_core.

A component's file imports only kfp (and the image name) at its top, and pinrec_core inside the function body, because
KFP ships the function's source alone. Config sections arrive as JSON strings, one per section a step depends on.
"""
