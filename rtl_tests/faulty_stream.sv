// SPDX-License-Identifier: Apache-2.0

// Counts upwards in frames of four words and, at word 6 or 7, breaks the rule that fault_i chooses.
module faulty_stream (
  input  logic       aclk,
  input  logic       aresetn,
  input  logic [2:0] fault_i,

  output logic [7:0] m_axis_tdata,
  output logic       m_axis_tvalid,
  input  logic       m_axis_tready,
  output logic       m_axis_tlast
);

  logic [7:0] word_q;
  logic stalled_q;

  always_ff @(posedge aclk) begin
    if (!aresetn) begin
      word_q    <= '0;
      stalled_q <= 1'b0;
    end else begin
      if (m_axis_tvalid && m_axis_tready) word_q <= word_q + 8'd1;
      stalled_q <= m_axis_tvalid && !m_axis_tready;
    end
  end

  always_comb begin
    m_axis_tvalid = 1'b1;
    m_axis_tdata  = word_q;
    m_axis_tlast  = word_q[1:0] == 2'd3;
    unique case (fault_i)
      3'd1:    m_axis_tvalid = !(word_q == 8'd6 && stalled_q);
      3'd2:    m_axis_tdata  = word_q == 8'd6 && stalled_q ? 8'd0 : word_q;
      3'd3:    m_axis_tlast  = word_q[1:0] == 2'd3 && word_q != 8'd7;
      3'd4:    m_axis_tvalid = word_q != 8'd6;
      3'd5:    m_axis_tlast  = word_q[1:0] == 2'd3 || word_q == 8'd6;
      default: ;
    endcase
  end

endmodule
