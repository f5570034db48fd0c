"""The repairs: what each does, who may have it done, and what it is done to. Data only.

Every repair is safe to repeat: done twice, it does no more harm than done once.
"""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from agent.local.routes import Role


class Repair(msgspec.Struct, frozen=True):
    """One repair.

    Attributes:
        name: Its name in the route.
        title: The words on a button.
        effect: What it will do, and what it will not do.
        role: What the caller must be allowed to do.
        has_target: It is done to one sensor, by its device.
        is_destructive: It removes something for good, or a person alone knows whether it is right: `climahub doctor
            --fix --yes` leaves it to a person.
    """

    name: str
    title: str
    effect: str
    role: Role = Role.SERVICE
    has_target: bool = False
    is_destructive: bool = False


_TABLE = (
    Repair(
        "retry-cloud",
        "Try the cloud now",
        "Ends the waiting after failures and for a full batch: every request is tried at once, within the quotas.",
    ),
    Repair(
        "resync-settings",
        "Fetch the settings",
        "Fetches the cloud's copy of the settings and sends local changes that it does not have.",
    ),
    Repair(
        "fetch-time",
        "Fetch the time",
        "Asks the cloud for its time, for a hub whose clock NTP has not set. Never sets the machine's clock.",
    ),
    Repair(
        "flush-outbox",
        "Write readings to the disk",
        "Writes the readings that are in memory to the outbox.",
    ),
    Repair(
        "free-space",
        "Make free space",
        "Removes leftovers of interrupted writes and downloads. No reading, setting or backup is removed.",
    ),
    Repair(
        "rebuild-stores",
        "Write the files anew",
        "Writes settings, programs and the sensors' book anew from what is in force, with their copies.",
    ),
    Repair(
        "discard-quarantined",
        "Discard unreadable files",
        "Removes the files that were put aside because they could not be read. They are gone then.",
        is_destructive=True,
    ),
    Repair(
        "retry-registrations",
        "Register sensors again",
        "Asks the cloud again for the identity of each sensor that it refused.",
    ),
    Repair(
        "set-up-reporting",
        "Set up its reporting again",
        "Writes the sensor's bindings and reporting configuration again, when it is awake. Its name and identity stay.",
        has_target=True,
    ),
    Repair(
        "forget-sensor",
        "Forget this sensor",
        "Removes the sensor from the network and stops relaying it. It has to be paired again to be used.",
        has_target=True,
        is_destructive=True,
    ),
    Repair(
        "restart-radio",
        "Restart the radio",
        "Closes the stick's port and opens it again. The network and its sensors stay; readings pause for seconds.",
    ),
    Repair(
        "back-up-network",
        "Back up the radio's network",
        "Reads the network from the stick and keeps it on the hub, so that a new stick can take over.",
    ),
    Repair(
        "resume-updates",
        "Resume updates",
        "Ends the pause of updates.",
        Role.OWNER,
    ),
    Repair(
        "reset-update",
        "Reset the update",
        "Ends a download that does not go on, forgets what was downloaded and which offers were refused.",
        Role.OWNER,
    ),
    Repair(
        "renew-certificate",
        "Renew the port's certificate",
        "Makes another certificate for the port. Its fingerprint is new, so browsers warn once more.",
        Role.OWNER,
    ),
    Repair(
        "confirm-moved-card",
        "The card was moved",
        "Uses the hub's key on this board from now on. Only where no other hub still runs with a copy of this card.",
        Role.OWNER,
        is_destructive=True,
    ),
    Repair(
        "reset-copied-card",
        "The card was copied",
        "Resets this hub: all that is on its card is erased, its key is barred here, and it waits for one of its own.",
        Role.OWNER,
        is_destructive=True,
    ),
    Repair(
        "send-held",
        "Send what is held back",
        "Sends readings, results of commands and settings that the card has from another board, under the present key.",
        Role.OWNER,
        is_destructive=True,
    ),
    Repair(
        "discard-held",
        "Discard what is held back",
        "Erases readings, commands and settings of another board that wait for the cloud. All else stays on the card.",
        Role.OWNER,
        is_destructive=True,
    ),
)

REPAIRS: Mapping[str, Repair] = MappingProxyType({repair.name: repair for repair in _TABLE})
