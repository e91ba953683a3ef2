"""A verification report as JUnit XML, which every CI reads."""

from __future__ import annotations

from xml.etree import ElementTree

from vecq_hw.verify.compare import Report, Status


def junit_xml(report: Report, network_name: str) -> str:
    """One test case a target; what is unsupported counts as skipped."""
    states = [row.status for row in report.rows]
    suite = ElementTree.Element(
        "testsuite",
        name=f"vecq verify {_printable(network_name)}",
        tests=str(len(states)),
        failures=str(states.count(Status.FAILED)),
        errors=str(states.count(Status.ERROR)),
        skipped=str(states.count(Status.UNSUPPORTED)),
        time=f"{sum(row.seconds for row in report.rows):.3f}",
    )
    tags = {Status.FAILED: "failure", Status.ERROR: "error", Status.UNSUPPORTED: "skipped"}
    for row in report.rows:
        case = ElementTree.SubElement(
            suite, "testcase", classname="vecq.verify", name=row.name, time=f"{row.seconds:.3f}"
        )
        if row.status in tags:
            ElementTree.SubElement(case, tags[row.status], message=_printable(row.message))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _printable(text: str) -> str:
    """XML 1.0 has no control characters; the output of tools may."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )
