"""What can go wrong in the mind.

PipelineError
├── UnknownPipeline     no installed pipeline has that name
├── WeightsMissing      the weights' file is not installed
├── WeightsMismatch     the weights' sha256 is not the pinned one: never run
└── UnsuitableVolume    the volume cannot be answered honestly (all air, too small, not a number ...)
"""


class PipelineError(Exception):
    """Root of the mind's errors. Time cures none of them."""


class UnknownPipeline(PipelineError):
    """No installed pipeline has that name."""


class WeightsMissing(PipelineError):
    """The weights' file is not installed."""


class WeightsMismatch(PipelineError):
    """The weights on disk are not the pinned ones."""


class UnsuitableVolume(PipelineError):
    """The volume cannot be answered honestly; the sentence says why."""
