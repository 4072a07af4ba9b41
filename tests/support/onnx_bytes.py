"""A model in ONNX."""

from __future__ import annotations

import base64

LINEAR = base64.b64decode(
    "CAg6ggEKEQoBegoBVxIBcCIGTWF0TXVsChIKAXAKAWISBXNjb3JlIgNBZGQSAW0qFwgDCAEQAUIBV0oMAACAPwAAAEAA"
    "AEBAKg0IARABQgFiSgQAAAA/WhQKAXoSDwoNCAESCQoDEgFuCgIIA2IYCgVzY29yZRIPCg0IARIJCgMSAW4KAggBQgQK"
    "ABAN"
)
"""z of 3 dimensions to z . (1, 2, 3) + .5, written by the package onnx."""
