// SPDX-License-Identifier: Apache-2.0

// Bytes to a serial line: one start bit, eight data bits, the lowest first, one stop bit.
//
// Takes a byte every ten bits.  ready_o is a flip-flop.
module vecq_uart_send #(
  parameter int ClocksPerBit = 8
) (
  input  logic       clk_i,
  input  logic       rst_ni,

  input  logic       valid_i,
  output logic       ready_o,
  input  logic [7:0] data_i,
  output logic       tx_o
);

  localparam int CountBits = $clog2(ClocksPerBit + 1);

  logic [CountBits-1:0] clocks_q;
  logic [3:0] bits_q;
  logic [8:0] line_q;  // the bit on the line, and those that follow
  logic ready_q;

  assign ready_o = ready_q;
  assign tx_o    = line_q[0];

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      ready_q  <= 1'b1;
      line_q   <= '1;
      clocks_q <= '0;
      bits_q   <= '0;
    end else if (ready_q) begin
      clocks_q <= CountBits'(ClocksPerBit - 1);
      bits_q   <= 4'd9;
      if (valid_i) begin
        ready_q <= 1'b0;
        line_q  <= {data_i, 1'b0};
      end
    end else if (clocks_q != '0) begin
      clocks_q <= clocks_q - CountBits'(1);
    end else begin
      clocks_q <= CountBits'(ClocksPerBit - 1);
      bits_q   <= bits_q - 4'd1;
      line_q   <= {1'b1, line_q[8:1]};
      ready_q  <= bits_q == 4'd0;
    end
  end

  // What the parameters must be.
  if (ClocksPerBit < 1) begin : gen_rule_clocks
    $error("vecq_uart_send: ClocksPerBit (%0d) must be at least 1", ClocksPerBit);
  end

endmodule
