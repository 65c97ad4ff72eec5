"""Where a login may lead."""


def find_local(place: str) -> str:
    """A path of ours; "/" for anything that could lead elsewhere."""
    ours = place.startswith("/") and not place.startswith("//") and "\\" not in place and place.isprintable()
    return place if ours else "/"
