// SPDX-License-Identifier: Apache-2.0

// Simulation only, with VECQ_ASSERTIONS defined: the rules of streams, as assertions.
//
// A word that is offered stays valid and unchanged until it is taken.  With Words, last_i marks
// each Words-th word and no other.  Stream n is valid_i[n], ready_i[n] and the n-th word of data_i;
// all have Words and last_i in common.  Every cell has this on all of its streams.
`ifdef VECQ_ASSERTIONS
module vecq_stream_rules #(
  parameter int Streams  = 1,
  parameter int DataBits = 8,
  parameter int Words    = 0
) (
  input logic                        clk_i,
  input logic                        rst_ni,
  input logic [Streams-1:0]          valid_i,
  input logic [Streams-1:0]          ready_i,
  input logic [Streams*DataBits-1:0] data_i,
  input logic                        last_i
);

  for (genvar n = 0; n < Streams; n++) begin : gen_stream
    logic waits_q, last_q;
    logic [DataBits-1:0] data, data_q;
    int word_q;

    assign data = data_i[n*DataBits +: DataBits];

    always_ff @(posedge clk_i) begin
      waits_q <= rst_ni && valid_i[n] && !ready_i[n];
      data_q  <= data;
      last_q  <= last_i;
      if (!rst_ni) word_q <= 0;
      else if (valid_i[n] && ready_i[n]) word_q <= word_q == Words - 1 ? 0 : word_q + 1;

      if (rst_ni && waits_q) begin
        assert (valid_i[n])
          else $error("valid fell before the word was taken");
        assert (!valid_i[n] || (data === data_q && last_i === last_q))
          else $error("the word changed before it was taken, from %h to %h", data_q, data);
      end
      if (rst_ni && valid_i[n] && Words > 0) begin
        assert (last_i === (word_q == Words - 1))
          else $error("last is %b at word %0d of %0d", last_i, word_q + 1, Words);
      end
    end
  end

endmodule
`endif
