"""Why a process of the agent ended. Imports nothing: the command line reads it without the files of the history."""

from enum import StrEnum


class ExitCause(StrEnum):
    """Why a process of the agent ended. `running` is the present one."""

    RUNNING = "running"
    STOPPED = "stopped"
    CRASHED = "crashed"
    WATCHDOG = "watchdog"
    OUT_OF_MEMORY = "out_of_memory"
    KILLED = "killed"
    POWER_LOST = "power_lost"
    MACHINE_WATCHDOG = "machine_watchdog"
