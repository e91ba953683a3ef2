// SPDX-License-Identifier: Apache-2.0

// The indices of a frame's Count largest elements, the largest first, of equal ones the lowest index
// first.
//
// A frame is Channels elements, one a word, and gives Count words.  A list holds the largest so far
// in their order; an element takes the place of the first that it exceeds, and those behind move
// down by one.  The list of a whole frame moves to a register that gives its indices one by one,
// while the next frame comes in.
//
// A word every cycle; the last word of a frame waits until the indices of the frame before are taken.
// Latency: 1 cycle after the frame's last word.
module vecq_topk #(
  parameter int Channels    = 2,
  parameter int Count       = 1,
  parameter int ElementBits = 8,
  parameter bit Signed      = 1'b0,
  localparam int IndexBits  = Channels > 1 ? $clog2(Channels) : 1
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,

  input  logic                   valid_i,
  output logic                   ready_o,
  input  logic [ElementBits-1:0] data_i,

  output logic                   valid_o,
  input  logic                   ready_i,
  output logic [IndexBits-1:0]   data_o
);

  // Signed numbers are in the order of unsigned ones with this bit inverted.
  localparam logic [ElementBits-1:0] Flip = ElementBits'(Signed) << (ElementBits - 1);

  logic take, last;
  logic [ElementBits-1:0] element;
  logic [IndexBits-1:0] index_q;
  // Which places of the list hold an element of this frame, and which indices are still to be given.
  logic [Count-1:0] present_q, waiting_q;
  // Which elements of the list the new one exceeds: all from one place on.
  logic [Count-1:0] exceeds;
  logic [Count*ElementBits-1:0] elements_q;
  logic [Count*IndexBits-1:0] indices_q, indices, given_q;

  assign last    = index_q == IndexBits'(Channels - 1);
  assign ready_o = !last || !waiting_q[0];
  assign take    = valid_i && ready_o;
  assign element = data_i ^ Flip;
  assign valid_o = waiting_q[0];
  assign data_o  = given_q[IndexBits-1:0];

  for (genvar place = 0; place < Count; place++) begin : gen_place
    logic [ElementBits-1:0] element_above;
    logic [IndexBits-1:0] index_above;
    logic exceeds_above;

    if (place == 0) begin : gen_first
      assign element_above  = element;
      assign index_above    = index_q;
      assign exceeds_above  = 1'b0;
    end else begin : gen_further
      assign element_above  = elements_q[(place-1)*ElementBits +: ElementBits];
      assign index_above    = indices_q[(place-1)*IndexBits +: IndexBits];
      assign exceeds_above  = exceeds[place-1];
    end

    assign exceeds[place] = !present_q[place] ||
                            element > elements_q[place*ElementBits +: ElementBits];
    assign indices[place*IndexBits +: IndexBits] =
        exceeds_above ? index_above :
        exceeds[place] ? index_q : indices_q[place*IndexBits +: IndexBits];

    always_ff @(posedge clk_i) begin
      if (take && exceeds[place]) begin
        elements_q[place*ElementBits +: ElementBits] <= exceeds_above ? element_above : element;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      index_q   <= '0;
      present_q <= '0;
      waiting_q <= '0;
    end else begin
      if (take) begin
        index_q   <= last ? '0 : index_q + IndexBits'(1);
        present_q <= last ? '0 : Count'({present_q, 1'b1});
      end
      if (take && last) waiting_q <= '1;
      else if (valid_o && ready_i) waiting_q <= waiting_q >> 1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (take) indices_q <= indices;
    if (take && last) given_q <= indices;
    else if (valid_o && ready_i) given_q <= given_q >> IndexBits;
  end

  // What the parameters must be.
  if (Channels < 1 || ElementBits < 1) begin : gen_rule_positive
    $error("vecq_topk: Channels (%0d) and ElementBits (%0d) must be at least 1",
           Channels, ElementBits);
  end
  if (Count < 1 || Count > Channels) begin : gen_rule_count
    $error("vecq_topk: Count (%0d) must be 1 to Channels (%0d)", Count, Channels);
  end

`ifdef VECQ_ASSERTIONS
  vecq_stream_rules #(
    .DataBits(ElementBits)
  ) rules_in (
    .clk_i, .rst_ni, .valid_i, .ready_i(ready_o), .data_i, .last_i(1'b0)
  );

  vecq_stream_rules #(
    .DataBits(IndexBits)
  ) rules_out (
    .clk_i, .rst_ni, .valid_i(valid_o), .ready_i, .data_i(data_o), .last_i(1'b0)
  );
`endif

endmodule
