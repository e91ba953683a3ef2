"""What a verification leaves in its folder, beside a project for each target."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from vecq_hw import schedule as schedules
from vecq_hw import storage
from vecq_hw.network import Network
from vecq_hw.schedule import Schedule

VERIFICATION, NETWORK, SCHEDULE = "verification.json", "network.npz", "schedule.json"


def record(
    network: Network, schedule: Schedule, tree: Mapping[str, Any]
) -> dict[str, tuple[str, bytes]]:
    """The files, each with its kind (:mod:`vecq_hw.files`) and its bytes, by their names.

    Parameters
    ----------
    tree : mapping
        Of the report, plain: what ``--json`` writes.
    """
    return {
        NETWORK: ("network", storage.to_bytes(network)),
        SCHEDULE: ("schedule", f"{schedules.to_json(schedule)}\n".encode()),
        VERIFICATION: ("report", f"{json.dumps(tree, indent=2)}\n".encode()),
    }
