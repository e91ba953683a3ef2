// SPDX-License-Identifier: Apache-2.0

// Bytes from a serial line: one start bit, eight data bits, the lowest first, one stop bit.
//
// A byte is at data_o in the one cycle with valid_o.  error_o comes with it where the stop bit is
// low: the line was cut, or the sender has another pace.  Each bit is looked at once, in its middle,
// so that the sender's clock may be off by a twentieth.
module vecq_uart_receive #(
  parameter int ClocksPerBit = 8
) (
  input  logic       clk_i,
  input  logic       rst_ni,

  input  logic       rx_i,
  output logic       valid_o,
  output logic       error_o,
  output logic [7:0] data_o
);

  localparam int CountBits = $clog2(ClocksPerBit + 1);

  logic [2:0] line_q;  // the line, synchronised; the last is what it was before
  logic [CountBits-1:0] clocks_q;
  logic [3:0] bits_q;  // that are still to come, the stop bit included
  logic [7:0] data_q;
  logic busy_q, valid_q, error_q, sample;

  assign sample  = busy_q && clocks_q == '0;
  assign valid_o = valid_q;
  assign error_o = error_q;
  assign data_o  = data_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      line_q   <= '1;
      busy_q   <= 1'b0;
      valid_q  <= 1'b0;
      error_q  <= 1'b0;
      clocks_q <= '0;
      bits_q   <= '0;
    end else begin
      line_q   <= {line_q[1:0], rx_i};
      valid_q  <= sample && bits_q == 4'd0;
      error_q  <= sample && bits_q == 4'd0 && !line_q[1];
      clocks_q <= clocks_q - CountBits'(1);
      if (!busy_q) begin
        // The middle of the start bit is half a bit away.
        busy_q   <= line_q[2] && !line_q[1];
        clocks_q <= CountBits'((ClocksPerBit - 1) / 2);
        bits_q   <= 4'd9;
      end else if (sample) begin
        clocks_q <= CountBits'(ClocksPerBit - 1);
        bits_q   <= bits_q - 4'd1;
        // A start bit that has gone in its middle was none.
        if (bits_q == 4'd0 || (bits_q == 4'd9 && line_q[1])) busy_q <= 1'b0;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (sample && bits_q != 4'd0) data_q <= {line_q[1], data_q[7:1]};
  end

  // What the parameters must be.
  if (ClocksPerBit < 4) begin : gen_rule_clocks
    $error("vecq_uart_receive: ClocksPerBit (%0d) must be at least 4", ClocksPerBit);
  end

endmodule
