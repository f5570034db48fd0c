"""The console: signs a person in, runs commands for that person, and signs out when nothing is typed for long.

Each command is a process of its own, as in a shell, with the person's session: the hub checks its role. So a command
that hangs or crashes costs only itself. Must never keep a code in the history of typed lines.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

import click

from agent.cli.console.allowed import CommandRefused, check, help_text, split
from agent.cli.console.session import ConsoleSession, SignInRefused
from agent.local.routes import Role

PROMPT = "climahub> "

WRONG_CODE_S = 3.0
"""Between two tries of a code. The hub has its own limits of wrong tries; without the agent there are only these."""

MENU: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "1": ("what is wrong, and what to do", "status"),
        "2": ("check everything", "doctor"),
        "3": ("sensors", "sensors"),
        "4": ("rooms and heating", "climate"),
        "5": ("Zigbee sensors", "zigbee list"),
        "6": ("relays", "relay list"),
        "7": ("last warnings", "logs --level warning --lines 15"),
        "8": ("send the support bundle", "send"),
        "9": ("send the backup of the Zigbee network", "send backup"),
    }
)


SENT: Mapping[str, tuple[str, Role]] = MappingProxyType(
    {"bundle": ("support bundle", Role.SERVICE), "backup": ("Zigbee network's backup", Role.OWNER)}
)
"""What can be taken away, and who may: the backup holds the network's key."""

WAYS = ("binary", "zmodem")
"""Of sending; the first one is that of `climahub receive`."""


class SignedOut(Exception):
    """Nothing was typed for too long, or the line was closed."""


class Terminal(Protocol):
    """The person's end."""

    def ask(self, prompt: str, *, is_secret: bool = False) -> str:
        """Return a line.

        Args:
            prompt: What is shown before it.
            is_secret: Keep the line out of the history.

        Raises:
            SignedOut: Nothing was typed for too long, or the line was closed.
            KeyboardInterrupt: The person wants to begin the line anew.
        """
        ...

    def show(self, text: str) -> None:
        """Show some lines."""
        ...

    def pause(self, seconds: float) -> None:
        """Wait."""
        ...


class Shell:
    """One console."""

    def __init__(
        self,
        terminal: Terminal,
        *,
        root: click.Group,
        sign_in: Callable[[str], ConsoleSession],
        sign_out: Callable[[ConsoleSession], None],
        run: Callable[[Sequence[str], ConsoleSession], int],
        send: Callable[[ConsoleSession, str, str], None],
    ) -> None:
        """Prepare.

        Args:
            terminal: The person's end.
            root: The command line.
            sign_in: Signs in with a code; raises `SignInRefused`.
            sign_out: Ends a session.
            run: Runs a command, waits for its end and returns its exit code.
            send: Sends one of `SENT` by one of `WAYS`.
        """
        self._terminal = terminal
        self._root = root
        self._sign_in = sign_in
        self._sign_out = sign_out
        self._run = run
        self._send = send

    def serve(self) -> None:
        """Sign one person in, and run commands until that person leaves.

        Raises:
            SignedOut: The line was closed, or nothing was typed for long, before anybody had signed in.
        """
        session = self._admit()
        try:
            with contextlib.suppress(SignedOut):
                self._serve(session)
        finally:
            self._sign_out(session)
        self._terminal.show("signed out")

    def _admit(self) -> ConsoleSession:
        self._terminal.show(
            "climahub. Sign in with the hub's code: on its sheet, or by `sudo climahub port code` on the hub."
        )
        while True:
            with contextlib.suppress(KeyboardInterrupt):
                typed = self._terminal.ask("code: ", is_secret=True).strip()
                if not typed:
                    continue
                try:
                    session = self._sign_in(typed)
                except SignInRefused as error:
                    self._terminal.show(str(error))
                    self._terminal.pause(WRONG_CODE_S)
                    continue
                self._terminal.show(f"signed in as {session.role.value}. Type menu, or help.")
                if not session.cookie:
                    self._terminal.show("the agent does not answer: doctor and send work, most commands do not")
                return session

    def _serve(self, session: ConsoleSession) -> None:
        while True:
            try:
                line = self._terminal.ask(PROMPT)
                if line.strip() in {"bye", "exit", "quit"}:
                    return
                self._act(line, session)
            except CommandRefused as error:
                self._terminal.show(str(error))
            except KeyboardInterrupt:
                self._terminal.show("")

    def _act(self, line: str, session: ConsoleSession) -> None:
        words = split(line)
        match words:
            case []:
                return
            case ["help"] | ["?"]:
                self._terminal.show(help_text(session.role))
            case ["menu"]:
                self._act(self._choose(), session)
            case ["send", *rest]:
                self._send_file(session, rest)
            case _:
                check(words, session.role, self._root)
                self._run(words, session)

    def _choose(self) -> str:
        self._terminal.show("\n".join(f"  {key}  {text}" for key, (text, _) in MENU.items()))
        chosen = self._terminal.ask("number: ").strip()
        return MENU[chosen][1] if chosen in MENU else ""

    def _send_file(self, session: ConsoleSession, rest: Sequence[str]) -> None:
        what = next((word for word in rest if word in SENT), "bundle")
        way = next((word for word in rest if word in WAYS), WAYS[0])
        if sorted(rest) != sorted({what, way}.intersection(rest)):
            raise CommandRefused("type send, send backup, send zmodem, or send backup zmodem")
        name, role = SENT[what]
        if session.role < role:
            raise CommandRefused(f"sign in as {role.value} (type bye): {session.role.value} may not take the {name}")
        self._send(session, what, way)
