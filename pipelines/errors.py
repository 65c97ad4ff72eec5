"""What can go wrong in the mind.

PipelineError
├── UnknownPipeline     no installed pipeline has that name
├── WeightsMissing      the weights' file is not installed
├── WeightsMismatch     the weights' sha256 is not the pinned one: never run
├── UnsuitableVolume     the volume cannot be answered honestly (all air, too small, not a number ...)
│   ├── MissingInputs    the pipeline reads several series together, and was given fewer
│   └── RegistrationFailed  two volumes cannot be laid on each other
│       ├── NoOverlap    they share too little of the body
│       └── NotConverged what was found is not to be believed
└── BundleError          a MONAI bundle that is not run
    ├── BundleUnreadable no bundle, or an archive that may not be unpacked
    ├── BundleRefused    its configuration asks for what no configuration may: nothing of it was evaluated
    ├── BundleUntrusted  it needs code of its own, and the site's configuration does not trust it
    ├── BundleChanged    a file is not the pinned one
    ├── BundleDrift      it does not fit this kind of bundle, or this version of MONAI
    ├── NeedsConcepts    an output of it has no coded concept: its results may not leave
    └── BundleCrashed    its process ended, or touched what it may not touch
        └── BundleOutOfMemory  it wanted more memory than its device has, or than it is given
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


class MissingInputs(UnsuitableVolume):
    """The pipeline reads several series together, and was given fewer."""


class RegistrationFailed(UnsuitableVolume):
    """Two volumes cannot be laid on each other."""


class NoOverlap(RegistrationFailed):
    """Two volumes share too little of the body to be laid on each other."""


class NotConverged(RegistrationFailed):
    """The registration found nothing that is to be believed; the sentence says why."""


class BundleError(PipelineError):
    """Root of what keeps a MONAI bundle from being run."""


class BundleUnreadable(BundleError):
    """No bundle, or an archive that may not be unpacked."""


class BundleRefused(BundleError):
    """The configuration asks for what no configuration may; nothing of it was evaluated."""


class BundleUntrusted(BundleError):
    """It needs code of its own, and the site's configuration does not trust it."""


class BundleChanged(BundleError):
    """A file is not the pinned one."""


class BundleDrift(BundleError):
    """It does not fit this kind of bundle, or this version of MONAI."""


class NeedsConcepts(BundleError):
    """An output of it has no coded concept: its results may not leave."""


class BundleCrashed(BundleError):
    """Its process ended, or touched what it may not touch."""


class BundleOutOfMemory(BundleCrashed):
    """It wanted more memory than its device has, or than it is given."""
