"""Cells belong to the layer that they were made for, whatever net gave them their name."""

import pytest

from tests.emit.systemverilog_networks import mlp, schedule
from vecq_hw.accelerator.plan import plan
from vecq_hw.emit.systemverilog.top_module import top_module
from vecq_hw.implement.owners import OUTSIDE, REST, owners
from vecq_hw.simulate.dataflow import with_fifo_depths


@pytest.mark.parametrize(
    ("cell", "owner"),
    [
        ("mlp_unit.fc1_unit.gen_pe[0].accumulator_q_TRELLIS_FF_Q_3", "fc1"),
        ("mlp_unit.fc1_unit.data_i_TRELLIS_FF_Q_3", OUTSIDE),
        ("mlp_unit.act1_unit.data_i_TRELLIS_FF_Q_3", "fc1"),
        ("mlp_unit.act1_unit.ready_i_LUT4_Z", "act1"),
        ("mlp_unit.act1_to_fc2_unit.spare_q_TRELLIS_FF_Q", "act1"),
        ("mlp_unit.fc2_unit.data_i_TRELLIS_FF_Q_DI_LUT4_Z", "act1"),
        ("mlp_unit.fc2_unit.data_input_q_TRELLIS_FF_Q", "fc2"),
        ("mlp_unit.fc2_to_output_data_TRELLIS_FF_Q_1", "fc2"),
        ("mlp_unit.frame_guard.error_q_LUT4_Z", REST),
        ("m_axis_shown_TRELLIS_FF_Q", OUTSIDE),
    ],
)
def test_owner_by_name(cell, owner):
    network = mlp()
    folds = with_fifo_depths(network, schedule(network))
    assert folds.fifo_depths is not None
    made = top_module(plan(network, folds), folds.fifo_depths)
    assert owners(made, "mlp_unit.").of(cell) == owner
