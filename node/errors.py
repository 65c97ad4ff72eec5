"""What can go wrong on the hospital's side, and whether time may cure it.

WetreadError
├── ConfigError             the configuration is wrong: the start is refused
├── RefusedInstance         an instance is not accepted from a peer
│   ├── CannotUnderstand    not a DICOM dataset, or it lacks its identity (0xC000)
│   ├── WrongClass          the dataset is of another SOP class than the request says (0xA900)
│   ├── ConflictingInstance another content is already held under this uid (0xC000)
│   └── OutOfResources      no space to keep it: send it later (0xA700, transient)
├── MessageNotUnderstood    a message from another system is none that we read, or lacks what it must have
├── AssociationRejected     a caller is not let in (PS3.8 9.3.4)
├── ProtocolViolation       a peer broke the rules of the connection: it is aborted (PS3.8 9.3.8)
├── InputError              a series cannot be read as a volume; the job fails by name
│   ├── PriorMissing        the route requires an earlier study of the patient, and none was found in time
│   ├── NoMatchingSeries    no series of the study is what the pipeline reads
│   │   ├── NotAcquired      a localizer, projection, reformation, capture or parameter map
│   │   ├── AlreadyProcessed made by an algorithm like ours, or with annotations burned in
│   │   ├── QualityControl   images of a phantom, not of a patient
│   │   ├── WrongBodyPart    of another part of the body than the pipeline reads
│   │   ├── WrongView        in another orientation or view than the pipeline reads
│   │   ├── WrongAge         of a patient younger than the pipeline is for
│   │   └── WrongSampling    too coarse, too short or in another unit than the pipeline reads
│   ├── TooFewSlices        not enough planes to make a volume
│   ├── MissingSlices       a plane is missing in the stack
│   ├── UnevenGeometry      planes are not evenly spaced
│   ├── TiltedGantry        planes are sheared against their normal
│   ├── DuplicateSlices     two different planes at one position
│   ├── MixedSeries         the series does not split into stacks that make sense
│   ├── NoFrameOfReference  the series has no Frame of Reference UID
│   ├── TruncatedInstance   pixel data is shorter than the header says
│   └── UnreadablePixels    pixel data cannot be decoded
├── PipelineRefused         the mind does not install a bundle, or knows no such pipeline
├── DependencyFailed        the job that this one comes after ended without results, or there is none
├── OrderRefused            an order is not of the images that it is found by; results carry none
├── WorkitemRefused         a request that the worklist does not grant, with its status on either wire
├── IncompleteStudy         what was expected of a study did not come; its jobs wait for an operator
├── EncodingError           a result cannot be written as a DICOM object; never sent
│   └── OverlappingSegments a label map holds one segment a voxel: it must be BINARY
├── ViewerRefused           what should be installed as viewer is not the one that we know, or did not come
├── LedgerError
│   ├── UnknownJob          no job has that id
│   ├── DamagedLedger       its file is not whole: the start is refused
│   ├── UnknownStudy        no study that is still open has that uid
│   └── LostLease           the job belongs to somebody else by now; this answer is thrown away
├── DeliveryError
│   ├── PeerUnreachable     no association (transient)
│   ├── PeerRefused         the peer will never take this object
│   └── MessageRefused      a receiver will never take this message, or it could not be written
└── WorkerError
    ├── WorkerLost          a worker died or went silent under a job (transient)
    ├── OutOfTime           the job ran past its pipeline's time limit (transient)
    ├── OutOfMemory         the pipeline asked for more memory than its device had (transient)
    └── OutboxUnwritable    the results could not be written into the outbox (transient)
"""


class WetreadError(Exception):
    """Root of the tree. `transient` says that the same thing may go well later."""

    transient = False


class ConfigError(WetreadError):
    """The configuration is wrong: the start is refused."""


class RefusedInstance(WetreadError):
    """An instance is not accepted from a peer; `status` is the DIMSE status of the answer."""

    status = 0xC000


class CannotUnderstand(RefusedInstance):
    """Not a DICOM dataset, or it lacks its identity (PS3.4 B.2.3: 0xC000)."""


class WrongClass(RefusedInstance):
    """The dataset is of another SOP class than the request says (PS3.4 B.2.3: 0xA900)."""

    status = 0xA900


class ConflictingInstance(RefusedInstance):
    """Another content is already held under this SOP Instance UID; the new one is in quarantine."""


class OutOfResources(RefusedInstance):
    """No space to keep it (PS3.4 B.2.3: 0xA700)."""

    transient = True
    status = 0xA700


class MessageNotUnderstood(WetreadError):
    """A message from another system is none that we read, or lacks what it must have. Its words quote nothing of it.
    code: of HL7 table 0357. place: segment and field, ("PID", 3)."""

    def __init__(self, text: str, code: str = "100", place: tuple[str, int] | None = None) -> None:
        super().__init__(text)
        self.code, self.place = code, place


class AssociationRejected(WetreadError):
    """A caller is not let in. result, source, reason: of the A-ASSOCIATE-RJ (PS3.8 table 9-21)."""

    def __init__(self, result: int, source: int, reason: int, text: str) -> None:
        super().__init__(text)
        self.result, self.source, self.reason = result, source, reason


class ProtocolViolation(WetreadError):
    """A peer broke the rules of the connection. `reason`: of the A-ABORT (PS3.8 table 9-26)."""

    def __init__(self, text: str, reason: int = 6) -> None:
        super().__init__(text)
        self.reason = reason


class InputError(WetreadError):
    """A series cannot be read as a volume; the job fails by name."""


class PriorMissing(InputError):
    """The route requires an earlier study of the patient, and none was found in time."""


class NoMatchingSeries(InputError):
    """No series of the study is what the pipeline reads."""


class NotAcquired(NoMatchingSeries):
    """A localizer, projection, reformation, capture or parameter map."""


class AlreadyProcessed(NoMatchingSeries):
    """Made by an algorithm like ours, or with annotations burned in."""


class QualityControl(NoMatchingSeries):
    """Images of a phantom, not of a patient."""


class WrongBodyPart(NoMatchingSeries):
    """Of another part of the body than the pipeline reads."""


class WrongView(NoMatchingSeries):
    """In another orientation or view than the pipeline reads."""


class WrongAge(NoMatchingSeries):
    """Of a patient younger than the pipeline is for."""


class WrongSampling(NoMatchingSeries):
    """Too coarse, too short or in another unit than the pipeline reads."""


class TooFewSlices(InputError):
    """Not enough planes to make a volume."""


class MissingSlices(InputError):
    """A plane is missing in the stack."""


class UnevenGeometry(InputError):
    """Planes are not evenly spaced."""


class TiltedGantry(InputError):
    """Planes are sheared against their normal."""


class DuplicateSlices(InputError):
    """Two different planes at one position."""


class MixedSeries(InputError):
    """The series does not split into stacks that make sense."""


class NoFrameOfReference(InputError):
    """The series has no Frame of Reference UID."""


class TruncatedInstance(InputError):
    """Pixel data is shorter than the header says."""


class UnreadablePixels(InputError):
    """Pixel data cannot be decoded."""


class DependencyFailed(WetreadError):
    """The job that this one comes after ended without results, or there is none."""


class OrderRefused(WetreadError):
    """An order is not of the images that it is found by; results carry none."""


class WorkitemRefused(WetreadError):
    """A request that the worklist does not grant. status: DIMSE; http: of UPS-RS; warning: text of its Warning header,
    "" for none."""

    def __init__(self, text: str, status: int, http: int, warning: str = "") -> None:
        super().__init__(text)
        self.status, self.http, self.warning = status, http, warning


class IncompleteStudy(WetreadError):
    """What was expected of a study did not come; its jobs wait for an operator."""


class EncodingError(WetreadError):
    """A result cannot be written as a DICOM object; never sent."""


class OverlappingSegments(EncodingError):
    """A label map holds one segment a voxel: it must be BINARY."""


class PipelineRefused(WetreadError):
    """The mind does not install a bundle, or knows no such pipeline."""


class ViewerRefused(WetreadError):
    """What should be installed as viewer is not the one that we know, byte for byte, or did not come."""


class LedgerError(WetreadError):
    """Root of the ledger's errors."""


class UnknownJob(LedgerError):
    """No job has that id."""


class DamagedLedger(LedgerError):
    """A page of the ledger's file is not what SQLite wrote: nothing is built on it."""


class UnknownStudy(LedgerError):
    """No study that is still open has that uid."""


class LostLease(LedgerError):
    """The job belongs to somebody else by now; this answer is thrown away."""


class DeliveryError(WetreadError):
    """Root of the outbound errors."""


class PeerUnreachable(DeliveryError):
    """No association."""

    transient = True


class PeerRefused(DeliveryError):
    """The peer will never take this object."""


class MessageRefused(DeliveryError):
    """A receiver will never take this message, or it could not be written."""


class WorkerError(WetreadError):
    """Root of the workers' errors."""


class WorkerLost(WorkerError):
    """A worker died or went silent under a job."""

    transient = True


class OutOfTime(WorkerError):
    """The job ran past its pipeline's time limit; it is tried once more, as is what used up the memory."""

    transient = True


class OutOfMemory(WorkerError):
    """The pipeline asked for more memory than its device had; it is tried once more, on the CPU, or there
    in smaller windows."""

    transient = True


class OutboxUnwritable(WorkerError):
    """The results could not be written into the outbox: a full disk, say."""

    transient = True
