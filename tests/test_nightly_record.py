from __future__ import annotations

from pathlib import Path

from tests.nightly_record import table

RUN = """<testsuites><testsuite timestamp="2026-01-02T03:04:05+01:00">
<testcase classname="tests.test_a" name="test_b[lenet5-2]"><properties>
<property name="images" value="1000"/><property name="integers" value="7000"/>
<property name="mismatches" value="0"/><property name="cpu_seconds" value="1.5"/>
<property name="commit" value="abc"/>
</properties></testcase>
<testcase classname="tests.test_a" name="test_c"><properties>
<property name="mismatches" value="3"/><property name="cpu_seconds" value="2"/>
<property name="commit" value="abc"/>
</properties><failure message="no"/></testcase>
</testsuite></testsuites>"""


def test_a_run_becomes_a_table(tmp_path: Path) -> None:
    (tmp_path / "run.xml").write_text(RUN)
    lines = table([tmp_path / "run.xml"], "make nightly").splitlines()
    assert lines[2].startswith("`make nightly`, commit abc, begun 2026-01-02 02:04 UTC")
    assert lines[4].startswith("1 of 2 tests passed; 7,000 integers")
    assert "1,000 images, 3 mismatches; 4 CPU-seconds" in lines[4]
    assert lines[-2:] == [
        "| `test_a.test_b[lenet5-2]` | passed |  | 1000 | 7000 | 0 | 1.5 |",
        "| `test_a.test_c` | failure |  |  |  | 3 | 2 |",
    ]


def test_parts_of_a_run_are_joined(tmp_path: Path) -> None:
    again = """<testsuites><testsuite timestamp="2026-01-03T03:04:05+01:00">
<testcase classname="tests.test_a" name="test_c"><properties>
<property name="commit" value="def"/></properties></testcase>
<testcase time="0.000"/></testsuite></testsuites>"""
    files = [tmp_path / "first.xml", tmp_path / "second.xml"]
    for file, text in zip(files, (RUN, again), strict=True):
        file.write_text(text)
    lines = table(files, "make nightly").splitlines()
    assert lines[2].startswith("`make nightly`, commit abc, def, begun 2026-01-02 02:04 UTC")
    assert lines[4].startswith("2 of 2 tests passed")
    assert lines[-2:] == [
        "| `test_a.test_b[lenet5-2]` | passed | abc |  | 1000 | 7000 | 0 | 1.5 |",
        "| `test_a.test_c` | passed | def |  |  |  |  |  |",
    ]
