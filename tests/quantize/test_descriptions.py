"""What 'vecq methods' says of each method."""

import json
import re

import pytest
from click.testing import CliRunner

from vecq_hw.cli import vecq
from vecq_hw.quantize import METHODS
from vecq_hw.quantize.descriptions import description


@pytest.mark.parametrize("name", METHODS)
def test_every_method_tells_its_source_and_what_it_does(name):
    one = description(name)
    assert re.search(r"\w, .*(19|20)\d\d$", one.source), one.source
    assert re.fullmatch(r"[\w-].*(:|,) .+\.", one.summary), one.summary
    assert not re.search(r"[`*]", one.source + one.summary)
    assert one.grid
    assert all(setting.meaning for setting in one.settings)


def test_the_command_lists_every_method_and_setting():
    shown = CliRunner().invoke(vecq, ["methods"])
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert [line.split()[0] for line in lines[1 : 1 + len(METHODS)]] == [*METHODS]
    assert "  interval=exact  (one of paper, exact, search)" in lines
    found = json.loads(CliRunner().invoke(vecq, ["methods", "--json", "-"]).stdout)["methods"]
    assert [row["name"] for row in found] == [*METHODS]
    vecq_row = found[0]
    assert vecq_row["bits"] == [1, 16]
    assert vecq_row["grid"] == "MidRise"
    assert vecq_row["source"].startswith("Gong et al., VecQ: Minimal Loss")
    assert vecq_row["settings"][0] == {
        "name": "per_channel",
        "values": "True or False",
        "default": False,
        "meaning": "Whether each output has an interval and a scale of its own.",
    }
