"""What results show of themselves in a notebook."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

from tests.test_network import dense, network
from vecq_hw.notebook import MOST_ROWS
from vecq_hw.schedule import default_schedule
from vecq_hw.verify.compare import Report, Row, Status


def cells(html: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", html)
    return [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in rows]


def test_a_network_and_its_schedule_are_tables():
    net = network(dense())
    rows = cells(net._repr_html_())
    assert [row[0] for row in rows] == ["tensor", *net.tensors]
    assert rows[-1][4] == f"{net.mac_layers[0].weight_count:,}"
    schedule = default_schedule(net)
    (name,) = schedule.folds
    assert cells(schedule._repr_html_())[1] == [name, str(schedule.folds[name])]


def test_names_are_text():
    assert "<caption>a&lt;b&gt;:" in replace(network(dense()), name="a<b>")._repr_html_()


def test_a_long_result_stays_short():
    rows = tuple(
        Row(name=f"target{n}", status=Status.PASSED, outputs=1000 * n) for n in range(1000)
    )
    found = cells(Report(rows=rows, warnings=())._repr_html_())[1:]
    assert len(found) == MOST_ROWS
    assert found[0][:4] == ["target0", "passed", "0", "0"]
    assert found[-1][:4] == ["target999", "passed", "0", "999,000"]
    (left_out,) = (int(row[0].split()[1]) for row in found if len(row) == 1)
    assert left_out + MOST_ROWS - 1 == 1000


def test_no_heavy_package_is_loaded_for_it():
    code = (
        "import sys; from vecq_hw.network import Network; import vecq_hw.schedule;"
        "print([n for n in ('torch', 'matplotlib', 'jinja2', 'rich') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
