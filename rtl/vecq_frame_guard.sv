// SPDX-License-Identifier: Apache-2.0

// Guards the entry of what counts the words of its frames against packets of another length.
//
// A packet ends with last_i, a frame has Words words.  From the first word on where the one ends and
// the other does not, error_o is high until the reset.  ready_o is low in reset.
//
// Without Resynchronise that is all: words pass as they come, and after a packet of another length
// all frames are shifted.  A sender without last_i may leave it so and not look at error_o.
// With it every packet gives exactly one frame, and the next packet begins a frame: what a short one
// lacks is filled up with words of zeros, what a long one has too much is dropped, up to its last
// word.  So of two packets that lost the mark between them the first one's frame is right and the
// second one's is lost.
//
// Nothing is delayed, and words of the right length pass without a gap.
module vecq_frame_guard #(
  parameter int Words         = 1,
  parameter int DataBits      = 8,
  parameter bit Resynchronise = 1'b0
) (
  input  logic                clk_i,
  input  logic                rst_ni,

  input  logic                valid_i,
  output logic                ready_o,
  input  logic [DataBits-1:0] data_i,
  input  logic                last_i,

  output logic                valid_o,
  input  logic                ready_i,
  output logic [DataBits-1:0] data_o,
  output logic                error_o
);

  // Words of zeros are given; words are dropped.
  logic fill, drop, frame_end, take, error_q;

  assign ready_o = rst_ni && (drop || ready_i && !fill);
  assign valid_o = fill || valid_i && !drop;
  assign data_o  = fill ? '0 : data_i;
  assign take    = valid_i && ready_o && !drop;
  assign error_o = error_q;

  vecq_frame_end #(
    .Words(Words)
  ) frame (
    .clk_i, .rst_ni, .valid_i(valid_o), .ready_i, .last_o(frame_end)
  );

  always_ff @(posedge clk_i) begin
    if (!rst_ni) error_q <= 1'b0;
    else if (take && last_i != frame_end) error_q <= 1'b1;
  end

  if (Resynchronise) begin : gen_resynchronise
    logic fill_q, drop_q;

    assign fill = fill_q;
    assign drop = drop_q;

    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        fill_q <= 1'b0;
        drop_q <= 1'b0;
      end else begin
        if (fill_q) fill_q <= !(ready_i && frame_end);
        else fill_q <= take && last_i && !frame_end;
        if (drop_q) drop_q <= !(valid_i && last_i);
        else drop_q <= take && !last_i && frame_end;
      end
    end
  end else begin : gen_pass
    assign fill = 1'b0;
    assign drop = 1'b0;
  end

  // What the parameters must be.
  if (Words < 1 || DataBits < 1) begin : gen_rule_positive
    $error("vecq_frame_guard: Words (%0d) and DataBits (%0d) must be at least 1", Words, DataBits);
  end

`ifdef VECQ_ASSERTIONS
  vecq_stream_rules #(
    .DataBits(DataBits)
  ) rules_in (
    .clk_i, .rst_ni, .valid_i, .ready_i(ready_o), .data_i, .last_i
  );

  vecq_stream_rules #(
    .DataBits(DataBits)
  ) rules_out (
    .clk_i, .rst_ni, .valid_i(valid_o), .ready_i, .data_i(data_o), .last_i(1'b0)
  );
`endif

endmodule
