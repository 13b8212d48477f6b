from __future__ import annotations

import struct

import pytest

from jobservice.luahost.seccomp import UnknownMachineError, program

ALLOWED, REFUSED, KILLED = 0x7FFF0000, 0x00050001, 0x80000000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def verdict(code: bytes, number: int, architecture: int, argument: int = 0) -> int:
    """Run the filter on one system call, as the kernel would."""
    data = struct.pack("=IIQQ", number, architecture, 0, argument)
    position, loaded = 0, 0
    while True:
        operation, if_true, if_false, value = struct.unpack_from("=HBBI", code, position * 8)
        position += 1
        if operation == 0x20:
            (loaded,) = struct.unpack_from("=I", data, value)
        elif operation == 0x15:
            position += if_true if loaded == value else if_false
        else:
            return int(value)


@pytest.mark.parametrize(
    ("machine", "allowed", "refused"),
    [
        ("x86_64", (0, 1, 9, 38, 318), (2, 41, 56, 57, 59, 62, 101, 157, 257, 9999)),
        ("aarch64", (63, 64, 222), (56, 220, 221)),
    ],
)
def test_only_listed_calls_are_allowed(machine: str, allowed: tuple[int, ...], refused: tuple[int, ...]) -> None:
    code = program(machine, 77)
    architecture = ARCHITECTURES[machine]
    assert {verdict(code, number, architecture) for number in allowed} == {ALLOWED}
    assert {verdict(code, number, architecture) for number in refused} == {REFUSED}


@pytest.mark.parametrize(("machine", "number"), [("x86_64", 234), ("x86_64", 302), ("aarch64", 261)])
def test_calls_on_processes_are_allowed_on_the_own_one(machine: str, number: int) -> None:
    code = program(machine, 77)
    architecture = ARCHITECTURES[machine]
    # The first argument lies at offset 16 of the kernel's record.
    outcomes = [verdict(code, number, architecture, argument) for argument in (0, 77, 78, 1)]
    assert outcomes == [ALLOWED, ALLOWED, REFUSED, REFUSED]


def test_call_by_another_architecture_ends_the_process() -> None:
    assert verdict(program("x86_64", 77), 0, 0x40000003) == KILLED


def test_unknown_machine_is_named() -> None:
    with pytest.raises(UnknownMachineError, match="riscv64"):
        program("riscv64", 77)
