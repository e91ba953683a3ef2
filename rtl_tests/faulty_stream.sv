// SPDX-License-Identifier: Apache-2.0

// Counts upwards in frames of four words and, at word 6 or 7, breaks the rule that fault_i chooses.
// What comes in is thrown away; with fault_i = 6 no more than six words are taken.  Beside it a top
// of the io_parallel kind gives back what it got, or, with fault_i = 6, takes nothing, or, with
// fault_i = 7, gives nothing.
module faulty_stream (
  input  logic       aclk,
  input  logic       aresetn,
  input  logic [2:0] fault_i,

  input  logic [7:0] s_axis_tdata,
  input  logic       s_axis_tvalid,
  output logic       s_axis_tready,
  input  logic       s_axis_tlast,

  output logic [7:0] m_axis_tdata,
  output logic       m_axis_tvalid,
  input  logic       m_axis_tready,
  output logic       m_axis_tlast,

  input  logic       ap_clk,
  input  logic       ap_rst,
  input  logic       ap_start,
  output logic       ap_ready,
  output logic       ap_done,
  input  logic [7:0] x,
  input  logic       x_ap_vld,
  output logic [7:0] y_0
);

  logic [2:0] taken_q;

  assign s_axis_tready = !(fault_i == 3'd6 && taken_q == 3'd6);

  always_ff @(posedge aclk) begin
    if (!aresetn) taken_q <= '0;
    else if (s_axis_tvalid && s_axis_tready && taken_q != 3'd6) taken_q <= taken_q + 3'd1;
  end

  logic unused;
  assign unused = &{1'b0, s_axis_tdata, s_axis_tlast};

  assign ap_ready = ap_start && x_ap_vld && fault_i != 3'd6;

  always_ff @(posedge ap_clk) begin
    ap_done <= ap_ready && !ap_rst && fault_i != 3'd7;
    y_0     <= x;
  end

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
