"""What other tools want of a project and of the cells: FuseSoC, Bender, Vivado, Quartus, yosys."""

from __future__ import annotations

import re
import subprocess
import sys
import tkinter
from pathlib import Path

import pytest
import yaml

from rtl_tests.image_networks import image_network, vectors
from vecq_hw import __version__, assets
from vecq_hw.netlist import yosys
from vecq_hw.schedule import Schedule
from vecq_hw.toolchain import simulation_environment
from vecq_hw.verify.rtl import emit

TOP = "depthwise"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network, schedule = image_network(TOP)
    chosen = Schedule(folds=schedule.folds, axis_bits=64, clock_mhz=125.0)
    return emit(network, chosen, vectors(network, 1)).write(tmp_path_factory.mktemp("p") / "it")


def fusesoc(root: Path, work: Path, core: str) -> subprocess.CompletedProcess[str]:
    command = ["--cores-root", str(root), "run", "--target=lint", "--work-root", str(work), core]
    return subprocess.run(
        [sys.executable, "-m", "fusesoc.main", *command],
        cwd=work.parent,
        env=simulation_environment(),
        capture_output=True,
        text=True,
    )


@pytest.mark.needs_verilator
def test_fusesoc_lints_a_project_with_its_plain_verilog_top(project: Path, tmp_path: Path) -> None:
    core = f"vecq-hw:accelerators:{TOP}"
    done = fusesoc(project, tmp_path / "work", core)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "deprecated" not in done.stderr
    assert len(list((tmp_path / "work").glob("*.mem"))) == len(list(project.glob("rtl/*.mem")))
    wrapper = project / "rtl" / f"{TOP}_wrapper.v"
    text = wrapper.read_text()
    wrapper.write_text(text.replace("input  wire s_axis_tlast", "input  wire [1:0] s_axis_tlast"))
    done = fusesoc(project, tmp_path / "work2", core)
    wrapper.write_text(text)
    assert done.returncode != 0
    assert "WIDTHTRUNC" in done.stdout + done.stderr


@pytest.mark.needs_verilator
def test_fusesoc_lints_the_cells(tmp_path: Path) -> None:
    done = fusesoc(assets.rtl(), tmp_path / "work", "vecq-hw:rtl:cells")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_list_of_cells_is_that_of_vecq_f() -> None:
    rtl = assets.rtl()
    listed = (rtl / "vecq.f").read_text().split()
    core = yaml.safe_load((rtl / "vecq.core").read_text().removeprefix("CAPI=2:"))
    found = [*core["filesets"]["waivers"]["files"], *core["filesets"]["rtl"]["files"]]
    assert found == listed
    assert core["name"] == f"vecq-hw:rtl:cells:{__version__}"
    bender = yaml.safe_load((rtl / "Bender.yml").read_text())
    assert bender["sources"] == [name for name in listed if name.endswith(".sv")]
    assert sorted(bender["sources"]) == sorted(path.name for path in rtl.glob("*.sv"))


def test_lists_of_a_project_name_its_files(project: Path) -> None:
    wanted = {f"rtl/{path.name}" for path in project.glob("rtl/*.sv")}
    wrapper = f"rtl/{TOP}_wrapper.v"
    bender = yaml.safe_load((project / "Bender.yml").read_text())["sources"]
    assert set(bender) == wanted | {wrapper}
    assert bender[-2:] == [f"rtl/{TOP}.sv", wrapper]
    quartus = (project / "quartus" / f"{TOP}.qsf").read_text()
    assert set(re.findall(r"SYSTEMVERILOG_FILE \.\./(\S+)", quartus)) == wanted
    for name in ("vivado/clock.xdc", "quartus/clock.sdc"):
        assert "-period 8.000 [get_ports aclk]" in (project / name).read_text()
    for name in ("Bender.yml", f"quartus/{TOP}.qsf", "vivado/synthesis.tcl"):
        assert "has not been run by the tool that wrote this" in (project / name).read_text()


@pytest.mark.parametrize("script", ["synthesis", "package_ip"])
def test_scripts_for_vivado_are_tcl_that_names_files_which_are_there(
    project: Path, script: str
) -> None:
    """Tcl's own interpreter runs them; what Vivado alone knows is written down, not done."""
    tcl = tkinter.Tcl()
    tcl.eval('proc unknown {args} {global calls; lappend calls $args; return "core"}')
    tcl.eval("set calls {}")
    path = project / "vivado" / f"{script}.tcl"
    tcl.eval(f"source {{{path}}}")
    calls = [tcl.splitlist(call) for call in tcl.splitlist(tcl.eval("set calls"))]
    given = {
        Path(name)
        for call in calls
        for argument in call[1:]
        for name in tcl.splitlist(argument)
        if re.search(r"\.(sv|v|mem|xdc)$", name)
    }
    wanted = {*project.glob("rtl/*.sv"), *project.glob("rtl/*.v"), *project.glob("rtl/*.mem")}
    assert wanted <= given
    assert all(path.exists() for path in given)
    assert any(f"{TOP}_wrapper" in call for call in calls)


@pytest.mark.needs_yosys
def test_yosys_reads_a_project_as_it_stands(project: Path) -> None:
    files = {str(file.relative_to(project)): file.read_text() for file in project.glob("rtl/*")}
    check = f"hierarchy -check -top {TOP}_wrapper"
    reads = ["read_verilog -sv rtl/*.sv", "read_verilog rtl/*.v"]
    yosys.run(files, [*reads, check, "proc", "check -assert"])
