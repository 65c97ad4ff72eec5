"""The worklist: workitems (Unified Procedure Steps), who is told of them, and what they have not been told yet.

It knows no wire. DIMSE and UPS-RS stand above it and say the same in their own words: each verb takes and gives pydicom
Datasets, answers an `Outcome` that holds the status of both, and raises `WorkitemRefused` for what is not granted.
"""

from node.worklist.worklist import Worklist

__all__ = ["Worklist"]
