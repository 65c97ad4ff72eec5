"""One C-FIND as a client (PS3.4 C.4.1): its matches, within a time."""

import time
from collections.abc import Iterator

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom.association import Association

from node.errors import PeerRefused, PeerUnreachable
from node.outbound.reactor import hold_reactor

PENDING = {0xFF00, 0xFF01}


def find_all(association: Association, query: Dataset, model: UID, until: float) -> Iterator[Dataset]:
    """All matches, in memory before the first is used: the association carries one operation at a time.

    model: SOP class of the information model that is asked. until: monotonic. Raises PeerRefused when the peer answers
    with a failure or does not offer the model, PeerUnreachable when it does not answer in time.
    """
    began = time.monotonic()
    matches, last = [], 0xC000
    try:
        with hold_reactor(association):
            for status, match in association.send_c_find(query, model):
                last = int(status.Status) if "Status" in status else -1
                if last in PENDING and match is not None:
                    matches.append(match)
                if time.monotonic() > until:
                    association.abort()
                    last = -1
                    break
    except ValueError as error:
        raise PeerRefused(f"it takes no C-FIND ({error})") from None
    except RuntimeError:
        last = -1
    if last == -1:
        raise PeerUnreachable(f"no answer to C-FIND within {until - began:.0f} s")
    if last != 0x0000:
        raise PeerRefused(f"it answers C-FIND with 0x{last:04X}")
    return iter(matches)
