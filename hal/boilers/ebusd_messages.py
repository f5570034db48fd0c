"""The commands and answers of ebusd's text port. Pure, and without asyncio: what switches the outputs off uses it.

Facts: an answer ends with an empty line, and begins with "ERR:" or "usage:" if it is none (ebusd wiki, 3.1 TCP client
commands). Vaillant's boilers take the flow temperature as field 2 of SetMode, which ebusd offers as SetModeOverride or
SetMode, with 10 or 12 fields by its configuration (ebusd-configuration#361, #537). `state` asks ebusd itself and puts
nothing on the bus: "signal acquired, 23 symbols/sec (42 max), 2 masters" or "no signal" (`MainLoop::executeState`).
"""

from hal.errors import ActuatorFault

PORT = 8888
ANSWER_BYTES_MAX = 4096
"""An answer to `write` is a line."""

STATE_COMMAND = "state\n"


def write_command(message: str, flow_c: float | None) -> str:
    """Return the command for a flow temperature, `None` for no heating.

    Args:
        message: Circuit, name and fields, with the placeholders {flow_c} and {off}.
        flow_c: The flow temperature.
    """
    fields = message.replace("{flow_c}", f"{flow_c or 0.0:.1f}").replace("{off}", "1" if flow_c is None else "0")
    return f"write {fields}\n"


def has_signal(answer: str) -> bool | None:
    """Return whether the bus has its signal, by an answer to `STATE_COMMAND`; `None` for any other answer."""
    text = answer.strip().lower()
    return True if text.startswith("signal acquired") else False if text.startswith("no signal") else None


def check_answer(answer: str, name: str) -> None:
    """Do nothing for an answer that reports success.

    Raises:
        ActuatorFault: It does not; the message names the remedy.
    """
    text = " ".join(answer.split())[:200]
    if not text.lower().startswith(("err", "usage")):
        return
    if "element not found" in text:
        remedy = "add the message of boiler.ebusd_message to its configuration files"
    elif "access" in text or "not authorized" in text:
        remedy = "start it with --accesslevel=* or allow that message in its ACL"
    else:
        remedy = "check ebusd's log and the adapter"
    raise ActuatorFault(f"{name}: {remedy} ({text})")
