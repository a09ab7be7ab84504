"""What ``evorelay doctor`` found, one line each."""

from typing import Literal

import click
from msgspec import Struct

from evorelay.cli.printable import printable

Status = Literal["ok", "warn", "fail"]
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


class Finding(Struct, frozen=True):
    about: str
    status: Status
    message: str
    """For a person, without a secret (P7); unless all is well it ends in what to do."""


class Findings:
    """In the order they were found."""

    def __init__(self) -> None:
        self.all: list[Finding] = []

    def ok(self, about: str, message: str) -> None:
        self.all.append(Finding(about, "ok", message))

    def warn(self, about: str, message: str) -> None:
        """Works, or will once the person has decided; the exit status stays 0."""
        self.all.append(Finding(about, "warn", message))

    def fail(self, about: str, message: str) -> None:
        self.all.append(Finding(about, "fail", message))

    def extend(self, others: "Findings") -> None:
        self.all += others.all

    @property
    def is_well(self) -> bool:
        return all(finding.status != "fail" for finding in self.all)

    def show(self) -> None:
        for finding in self.all:
            mark = click.style(f"{finding.status:<4}", fg=_COLOURS[finding.status])
            click.echo(f"{mark}  {finding.about}: {printable(finding.message)}")
