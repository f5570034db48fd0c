"""What an OpenTherm Gateway and ebusd do with the commands that they get, and when they forget them. Pure.

Each stands for a gateway and its boiler. Silence counts as in the real ones: an OTGW ends an override a little more
than a minute after the last setpoint of 8 °C or more (firmware 5.6), a Vaillant boiler behind ebusd after 20 minutes.
"""

import re

import msgspec

OTGW_EXPIRES_S = 65.0
OTGW_EXPIRING_C = 8.0
EBUSD_EXPIRES_S = 1200.0


class BoilerOrder(msgspec.Struct, frozen=True):
    """The demand that a boiler receives: its flow temperature, and whether it may heat."""

    flow_c: float = 0.0
    may_heat: bool = False


NOTHING = BoilerOrder()

REPORTS = {"B": "17:59 20-10-2023", "G": "11", "I": "11", "O": "N", "S": "16.00", "V": "5"}
"""Some of what an OTGW answers to PR= besides its firmware and mode."""


class EmulatedOtgw:
    """An OpenTherm Gateway with a boiler, and a thermostat if it has one.

    Attributes:
        thermostat: What the thermostat demands; nothing without one.
        about: Its firmware.
        mode: "G" for gateway, "M" for monitor.
        highest_c: The highest setpoint that the boiler was ever told while it might heat.
        setpoints: How many setpoints it got.
        refused: Commands that it answers with "OR" (out of range), and does not carry out.
    """

    def __init__(
        self, *, thermostat: BoilerOrder = NOTHING, about: str = "OpenTherm Gateway 6.4", mode: str = "G"
    ) -> None:
        self.thermostat = thermostat
        self.about = about
        self.mode = mode
        self.highest_c = 0.0
        self.setpoints = 0
        self.refused: frozenset[str] = frozenset()
        self._setpoint_c = 0.0
        self._may_heat = False
        self._at_s = 0.0

    def restart(self) -> None:
        """Lose the supply for a moment, and with it the override."""
        self._setpoint_c, self._may_heat = 0.0, False

    def status_message(self, now_s: float) -> str:
        """Return the message of data id 0 to the boiler, as the gateway reports what it made: CH and DHW enable."""
        return "R00000300" if self.order(now_s).may_heat else "R80000200"

    def receive(self, line: str, now_s: float) -> str:
        """Return the answer to a command; an empty text for none."""
        command, _, value = line.strip().partition("=")
        match command:
            case _ if command in self.refused:
                answer = f"{command}: OR"
            case "CS":
                self.setpoints += 1
                if self._setpoint_c == 0.0:
                    self._may_heat = True
                self._setpoint_c, self._at_s = float(value), now_s
                answer = f"CS: {float(value):.2f}"
            case "CH":
                self._may_heat = value == "1"
                answer = f"CH: {value}"
            case "PR":
                reports = REPORTS | {"A": self.about, "M": self.mode}
                answer = f"PR: {value}={reports[value]}" if value in reports else "BV"
            case "":
                answer = ""
            case _:
                answer = f"{command}: {value}" if re.fullmatch(r"[A-Z]{2}", command) else "SE"
        order = self.order(now_s)
        if order.may_heat:
            self.highest_c = max(self.highest_c, order.flow_c)
        return answer

    def order(self, now_s: float) -> BoilerOrder:
        """Return the demand that the boiler receives now."""
        if self._setpoint_c >= OTGW_EXPIRING_C and now_s - self._at_s > OTGW_EXPIRES_S:
            self._setpoint_c = 0.0
        if self.mode == "M" or self._setpoint_c == 0.0:
            return self.thermostat
        return BoilerOrder(self._setpoint_c, self._may_heat)


class EmulatedEbusd:
    """ebusd with a boiler that knows SetModeOverride with 10 fields.

    Attributes:
        own: What the boiler does by itself.
        failure: Answered to each command in place of success.
        commands: The commands that it got, without its questions for the state.
        has_signal: Whether the bus has its signal: while the boiler has its supply.
        questions: How often it was asked for that.
        hangs_up: It ends each connection at the next command.
    """

    def __init__(self, own: BoilerOrder = NOTHING) -> None:
        self.own = own
        self.has_signal = True
        self.questions = 0
        self.hangs_up = False
        self.failure = ""
        self.commands: list[str] = []
        self._order: BoilerOrder | None = None
        self._at_s = 0.0

    def receive(self, line: str, now_s: float) -> str:
        """Return the answer to a command, without the empty line that ends it."""
        if line.strip() == "state":
            self.questions += 1
            return "signal acquired, 23 symbols/sec (42 max), 2 masters" if self.has_signal else "no signal"
        self.commands.append(line.strip())
        if self.failure:
            return self.failure
        if not self.has_signal:
            return "ERR: no signal"
        found = re.fullmatch(r"write -c bai SetModeOverride 0;([\d.]+);-;-;([01]);0;0;0;0;0", line.strip())
        if found is None:
            return "ERR: element not found"
        self._order, self._at_s = BoilerOrder(float(found[1]), found[2] == "0"), now_s
        return "done"

    def switch_boiler_off(self) -> None:
        """Take the boiler's supply away: it forgets its order, and the bus has no signal."""
        self._order, self.has_signal = None, False

    def order(self, now_s: float) -> BoilerOrder:
        """Return what the boiler does now."""
        if self._order is None or now_s - self._at_s > EBUSD_EXPIRES_S:
            return self.own
        return self._order
