"""What is measured: who sends what to whom, over how many associations, and where it is kept."""

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Scenario:
    """One table of the report.

    images: {associations: images}; shares: the part of them that a slow receiver is sent, for it needs no more to be
    measured. place: "disk", where syncing costs what it costs, or "memory" (/dev/shm), where it costs nothing.
    patience: seconds that a sender waits for an answer. once: receivers measured in the first round alone.
    """

    name: str
    title: str
    receivers: tuple[str, ...]
    images: dict[int, int]
    kind: str = "ct"
    sender: str = "fast"
    place: str = "disk"
    shares: dict[str, float] = field(default_factory=dict)
    patience: int = 60
    once: tuple[str, ...] = ()

    def count(self, receiver, associations):
        """Images for one measurement, as many for each association."""
        wanted = self.images[associations] * self.shares.get(receiver, 1)
        return max(1, round(wanted / associations)) * associations


SLOW = {"orthanc": 0.5, "pynetdicom": 0.2, "pynetdicom-synced": 0.2}
SCENARIOS = (
    Scenario(
        "synced",
        "512 x 512 CT to disk",
        ("wetread", "wetread-1", "limit", "orthanc", "pynetdicom-synced", "dcmtk"),
        {1: 400, 4: 800, 8: 800},
        shares=SLOW,
    ),
    Scenario(
        "unsynced",
        "512 x 512 CT to memory, where a sync costs nothing",
        ("wetread", "limit-unsynced", "dcmtk", "pynetdicom"),
        {1: 400, 4: 800, 8: 800},
        place="memory",
        shares=SLOW,
    ),
    Scenario(
        "storescu",
        "512 x 512 CT to memory, from storescu as shipped (Nagle on)",
        ("wetread", "limit-unsynced", "dcmtk", "pynetdicom"),
        {1: 300, 4: 600},
        sender="storescu",
        place="memory",
        shares={"pynetdicom": 0.5, "dcmtk": 0.5},
    ),
    Scenario(
        "storescu-disk",
        "512 x 512 CT to disk, from storescu as shipped (Nagle on)",
        ("wetread", "limit", "orthanc", "pynetdicom-synced", "dcmtk"),
        {1: 300, 4: 600},
        sender="storescu",
        shares={"orthanc": 0.5, "pynetdicom-synced": 0.5, "dcmtk": 0.5},
    ),
    Scenario(
        "many",
        "512 x 512 CT to disk, many associations at once",
        ("wetread", "wetread-1", "limit", "orthanc", "dcmtk", "pynetdicom-synced"),
        {100: 1000, 500: 1000},
        shares={"pynetdicom-synced": 0.1},
        patience=20,
        once=("pynetdicom-synced",),
    ),
    Scenario("mr", "256 x 256 MR to disk", ("wetread", "limit", "orthanc", "dcmtk"), {4: 2000}, "mr", shares=SLOW),
    Scenario(
        "frames",
        "One multi-frame CT of 419 MB to memory, where a sync costs nothing",
        ("wetread", "limit-unsynced", "dcmtk", "pynetdicom"),
        {1: 1},
        "frames",
        place="memory",
    ),
    Scenario(
        "frames-disk",
        "One multi-frame CT of 419 MB to disk",
        ("wetread", "limit", "orthanc", "dcmtk"),
        {1: 1},
        "frames",
    ),
    Scenario(
        "idle", "Associations open and silent", ("wetread", "dcmtk", "pynetdicom"), {100: 0}, once=("pynetdicom",)
    ),
)


def choose(names, quick, missing):
    """The scenarios to run: those of `names` (all when empty), without receivers that are not installed."""
    chosen = [scenario for scenario in SCENARIOS if not names or scenario.name in names]
    if quick:
        chosen = [shorter for scenario in chosen if (shorter := shorten(scenario)).receivers]
    return [
        replace(scenario, receivers=tuple(name for name in scenario.receivers if name not in missing))
        for scenario in chosen
    ]


def shorten(scenario):
    """The same question with fewer images and without the receivers that no goal names, if any are left."""
    needed = {
        "synced": ("wetread", "limit", "orthanc", "pynetdicom-synced", "dcmtk"),
        "unsynced": ("wetread", "dcmtk", "pynetdicom"),
        "storescu": ("wetread", "pynetdicom", "dcmtk"),
        "storescu-disk": (),
        "many": ("wetread", "orthanc"),
        "mr": ("wetread", "limit"),
        "frames": ("wetread", "dcmtk"),
        "frames-disk": ("wetread",),
        "idle": ("wetread",),
    }[scenario.name]
    images = {associations: max(associations, count // 3) for associations, count in scenario.images.items()}
    if scenario.kind == "frames":
        images = scenario.images
    return replace(scenario, receivers=needed, images=images)
