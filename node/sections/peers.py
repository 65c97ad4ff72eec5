"""Other application entities and DICOMweb servers: what they may send, what they are sent, what they are asked."""

from enum import StrEnum
from pathlib import Path

from pydantic import Field, model_validator

from node.model.delivery import Kind
from node.sections.client_tls import ClientTls
from node.sections.perform import Perform, PerformBy, PerformHow
from node.sections.values import Address, AeTitle, Network, Section, SpokenUid, WebRoot


class Confirm(StrEnum):
    """How a destination tells that it keeps what it took."""

    NONE = "none"
    COMMITMENT = "commitment"
    QUERY = "query"


class SegmentationForm(StrEnum):
    """How segments are encoded: a plane of bits for each, which all read, or one of numbers, which is smaller."""

    BINARY = "binary"
    LABELMAP = "labelmap"


class Retrieve(StrEnum):
    """How a peer's images are fetched: it sends them to our door (C-MOVE), on our own association (C-GET), or by
    WADO-RS."""

    MOVE = "move"
    GET = "get"
    WADO = "wado"


class DeliverBy(StrEnum):
    """How results reach a destination."""

    DICOM = "dicom"
    STOW = "stow"


class WebAccess(Section):
    """How we show a DICOMweb server who we are. A bearer token, or `user` with a password (RFC 6750, 7617); the value
    lies in a file or in an environment variable, is read each time that it is needed, and is never shown.

    authorities: who signs the server's certificate, else those that the system trusts. certificate, key: what we show
    when it asks for one. Files are PEM.
    """

    user: str = ""
    token_file: Path | None = None
    token_variable: str = ""
    password_file: Path | None = None
    password_variable: str = ""
    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def check_one_way(self) -> "WebAccess":
        """One credential, in one place; half a pair is a mistake."""
        places = [self.token_file, self.token_variable, self.password_file, self.password_variable]
        if sum(bool(place) for place in places) > 1:
            raise ValueError("more than one of token_file, token_variable, password_file, password_variable")
        if bool(self.user) != bool(self.password_file or self.password_variable):
            raise ValueError("user goes with password_file or password_variable")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate goes with key")
        return self


class CountBy(StrEnum):
    """How a peer is asked how many instances of a study it has: not, by C-FIND, or by QIDO-RS at `dicomweb`."""

    NONE = "none"
    QUERY = "query"
    QIDO = "qido"


class Peer(Section):
    """Another application entity, or a DICOMweb server, or one that is both.

    objects: the kinds of result objects that it is sent. segmentation: in which form; a peer that refuses label maps
    gets BINARY instead.
    networks: where it calls from, as CIDR ("10.1.0.0/16", "10.1.2.3"); by default the host of its address.
    tls: how it is called at its address, in clear without it; at `dicomweb` https is.
    tls_name: it must call by TLS, with a certificate that has this common name or DNS name.
    sop_classes, transfer_syntaxes: what it may send, by UID, keyword or name; empty is all.
    web: who we are at its `dicomweb`. web_user: the user of our web service as whom it sends to us by STOW-RS.
    count_by: how it is asked, after it sent, whether that was all of the study; count_modalities: of series of these
    modalities alone, for one that sends no others.
    deliver_by: how results go to it; by default by C-STORE where it has an address, else by STOW-RS.
    associations: to so many at once, for a peer that is slow on each.
    workitems: it may create, see, claim and change workitems at our door, and is told of those that it subscribes to.
    perform: its worklist, of which we do what we can.
    query: it answers what we ask of its studies. retrieve: how it gives them; "wado" asks and fetches at `dicomweb`.
    worklist: it is asked for the order of each study that arrives (Modality Worklist, PS3.4 annex K).
    availability: it is told which results are to be had, and where (Instance Availability Notification).
    dicomweb: root of its DICOMweb services (PS3.18), such as "https://pacs.hospital.test/dicom-web".
    """

    ae_title: AeTitle = ""
    address: Address = ""
    web: WebAccess = WebAccess()
    web_user: str = ""
    deliver_by: DeliverBy | None = None
    associations: int = Field(default=1, ge=1, le=8)
    send: bool = False
    count_by: CountBy = CountBy.NONE
    count_modalities: list[str] = Field(default_factory=list)
    confirm: Confirm = Confirm.NONE
    objects: list[Kind] = Field(default_factory=lambda: [Kind.SEGMENTATION, Kind.REPORT], min_length=1)
    segmentation: SegmentationForm = SegmentationForm.BINARY
    networks: list[Network] = Field(default_factory=list)
    tls: ClientTls | None = None
    tls_name: str = ""
    sop_classes: list[SpokenUid] = Field(default_factory=list)
    transfer_syntaxes: list[SpokenUid] = Field(default_factory=list)
    workitems: bool = False
    perform: Perform = Perform()
    query: bool = False
    retrieve: Retrieve = Retrieve.MOVE
    worklist: bool = False
    availability: bool = False
    dicomweb: WebRoot = ""

    @model_validator(mode="after")
    def check_reachable(self) -> "Peer":
        """It has an AE title and an address, or a DICOMweb server, or both, and what it is to do fits them."""
        if not self.dicomweb and not (self.ae_title and (self.address or self.web_user)):
            raise ValueError("needs ae_title and address, or dicomweb, or ae_title and web_user")
        if self.web_user and not self.ae_title:
            raise ValueError("web_user goes with ae_title, as which it counts when it sends")
        if "@" in self.dicomweb:
            raise ValueError("dicomweb: credentials belong under web, not into the address")
        if self.workitems and not self.address:
            raise ValueError("workitems needs ae_title and address, where it is told what becomes of them")
        if self.address and not self.ae_title:
            raise ValueError("address goes with ae_title")
        if self.tls and not self.address:
            raise ValueError("tls goes with address; TLS of dicomweb is in its https")
        if self.deliver_by == DeliverBy.DICOM and not self.address:
            raise ValueError('deliver_by = "dicom" needs an address')
        if self.deliver_by == DeliverBy.STOW and not self.dicomweb:
            raise ValueError('deliver_by = "stow" needs dicomweb')
        if self.delivered_by == DeliverBy.STOW and self.confirm == Confirm.COMMITMENT:
            raise ValueError('what goes by STOW-RS is confirmed by "query" or "none"')
        return self

    @model_validator(mode="after")
    def check_query(self) -> "Peer":
        """It can be asked, and give what it is asked for, in the way of `retrieve`."""
        if self.query and self.retrieve == Retrieve.WADO and not self.dicomweb:
            raise ValueError("query with retrieve = 'wado' needs dicomweb")
        if self.query and self.retrieve != Retrieve.WADO and not self.address:
            raise ValueError(f"query with retrieve = '{self.retrieve}' needs ae_title and address")
        return self

    @model_validator(mode="after")
    def check_count(self) -> "Peer":
        """It can be asked in the way of `count_by`."""
        if self.count_by == CountBy.QIDO and not self.dicomweb:
            raise ValueError("count_by = 'qido' needs dicomweb")
        if self.count_by == CountBy.QUERY and not self.address:
            raise ValueError("count_by = 'query' needs ae_title and address")
        if self.count_by != CountBy.NONE and not self.ae_title:
            raise ValueError("count_by needs the ae_title with which it sends")
        return self

    @model_validator(mode="after")
    def check_order(self) -> "Peer":
        """A worklist is asked, and a peer is told what is available, by DIMSE."""
        for key in ("worklist", "availability"):
            if getattr(self, key) and not self.address:
                raise ValueError(f"{key} = true needs ae_title and address")
        return self

    @model_validator(mode="after")
    def check_perform(self) -> "Peer":
        """Its worklist can be reached in the way of `perform.by`."""
        if self.perform.how == PerformHow.NONE:
            return self
        if self.performed_by == PerformBy.WEB and not self.dicomweb:
            raise ValueError("perform.by = 'web' needs dicomweb")
        if self.performed_by == PerformBy.DICOM and not self.address:
            raise ValueError("perform.by = 'dicom' needs ae_title and address")
        return self

    @property
    def performed_by(self) -> PerformBy:
        """`perform.by`, or what the peer has."""
        return self.perform.by or (PerformBy.WEB if self.dicomweb else PerformBy.DICOM)

    @property
    def reports(self) -> bool:
        """It tells us at our door what becomes of its workitems."""
        return self.perform.how == PerformHow.SUBSCRIBE and self.performed_by == PerformBy.DICOM

    @property
    def delivered_by(self) -> DeliverBy:
        """`deliver_by`, or what the peer has."""
        return self.deliver_by or (DeliverBy.DICOM if self.address else DeliverBy.STOW)

    @property
    def host(self) -> str:
        return self.address.rsplit(":", 1)[0]

    @property
    def port(self) -> int:
        return int(self.address.rsplit(":", 1)[1])
