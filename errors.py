"""Every error that Modelyard raises on purpose, and the exit code each ends a command with.

ModelyardError          1  the command could not do its work
├── UsageError          2  what was asked for makes no sense; nothing was done
├── GateNotPassed       3  the work was done, but its result may not go on
├── DataError           1  the data break the use case's contract
│   └── NothingLogged   5  an endpoint was not asked yet, so there is nothing to check
├── DatabaseError       1  PostgreSQL cannot be reached or used as configured
│   └── Busy            4  another process is at it; nothing was done
├── BrokerError         1  Kafka cannot be reached, or may not be used as configured
├── StackError          1  a stack file or one of its parts cannot be used
├── TrackingError       1  MLflow or its registry has not what was asked for
├── ReleaseError        1  a release was given up; what served before still serves
└── Interrupted       130  a person stopped waiting; what was started goes on

A message says what was expected, what came, and what to do about it.
"""

from __future__ import annotations

from typing import ClassVar


class ModelyardError(Exception):
    """The command could not do its work; the message is for the person who typed it."""

    exit_code: ClassVar[int] = 1


class UsageError(ModelyardError):
    """What was asked for makes no sense; nothing was done."""

    exit_code = 2


class GateNotPassed(ModelyardError):
    """A model was trained and registered, but a promotion gate keeps it from becoming champion."""

    exit_code = 3


class DataError(ModelyardError):
    """The data break the use case's contract."""


class NothingLogged(DataError):
    """An endpoint was not asked anything yet, so there is nothing to check."""

    exit_code = 5


class DatabaseError(ModelyardError):
    """PostgreSQL cannot be reached, or may not be used as configured."""


class Busy(DatabaseError):
    """Another process is at it, and two at once would be in each other's way; nothing was done."""

    exit_code = 4


class BrokerError(ModelyardError):
    """Kafka cannot be reached, or may not be used as configured."""


class StackError(ModelyardError):
    """A stack file is wrong, or a part of the stack does not answer."""


class TrackingError(ModelyardError):
    """MLflow or its registry has not what was asked for."""


class ReleaseError(ModelyardError):
    """A release was given up; what served before it still serves."""


class Interrupted(ModelyardError):
    """A person stopped waiting; what was started goes on elsewhere."""

    exit_code = 130
