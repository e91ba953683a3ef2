// SPDX-License-Identifier: Apache-2.0
// Where branches meet: sums and concatenations of streams that advance together.
#pragma once

#include "vecq/stream.hpp"

namespace vecq {

/// One word more into the sums of each lane.
template <class In, class Sum, int LaneCount>
void add_word(Stream<In, LaneCount>& in, Sum (&sums)[LaneCount]) {
#pragma HLS INLINE
  const Lanes<In, LaneCount> x = in.read();
lanes:
  for (int lane = 0; lane < LaneCount; ++lane) {
#pragma HLS UNROLL
    sums[lane] +=
        static_cast<Sum>(static_cast<std::int64_t>(static_cast<typename In::Value>(x.lane[lane])));
  }
}

/// The exact sum of all `ins`, element by element; a frame has `Words` words.
template <class Out, int Words, int LaneCount, class... Ins>
void add(Stream<Out, LaneCount>& out, Stream<Ins, LaneCount>&... ins) {
words:
  for (int word = 0; word < Words; ++word) {
#pragma HLS PIPELINE II = 1
    typename Out::Sum sums[LaneCount] = {}; // their low bits are those of the exact sum
#pragma HLS ARRAY_PARTITION variable = sums type = complete
    (add_word(ins, sums), ...);
    Lanes<Out, LaneCount> y;
  lanes:
    for (int lane = 0; lane < LaneCount; ++lane) {
#pragma HLS UNROLL
      y.lane[lane] = wrap<Out::bits>(sums[lane]);
    }
    out.write(y);
  }
}

/// The exact difference of two streams, element by element; a frame has `Words` words.
template <class Out, int Words, int LaneCount, class Left, class Right>
void subtract(Stream<Out, LaneCount>& out, Stream<Left, LaneCount>& left,
              Stream<Right, LaneCount>& right) {
words:
  for (int word = 0; word < Words; ++word) {
#pragma HLS PIPELINE II = 1
    typename Out::Sum sums[LaneCount] = {};
    typename Out::Sum taken[LaneCount] = {};
#pragma HLS ARRAY_PARTITION variable = sums type = complete
#pragma HLS ARRAY_PARTITION variable = taken type = complete
    add_word(left, sums);
    add_word(right, taken);
    Lanes<Out, LaneCount> y;
  lanes:
    for (int lane = 0; lane < LaneCount; ++lane) {
#pragma HLS UNROLL
      y.lane[lane] = wrap<Out::bits>(static_cast<typename Out::Sum>(sums[lane] - taken[lane]));
    }
    out.write(y);
  }
}

/// The exact products of two words, lane by lane.
template <class Out, class Left, class Right, int LaneCount>
Lanes<Out, LaneCount> multiply_word(const Lanes<Left, LaneCount>& left,
                                    const Lanes<Right, LaneCount>& right) {
#pragma HLS INLINE
  Lanes<Out, LaneCount> y;
lanes:
  for (int lane = 0; lane < LaneCount; ++lane) {
#pragma HLS UNROLL
    y.lane[lane] = left.lane[lane] * right.lane[lane]; // exact, as wide as both together
  }
  return y;
}

/// The exact product of two streams, element by element; a frame has `Words` words.
template <class Out, int Words, int LaneCount, class Left, class Right>
void multiply(Stream<Out, LaneCount>& out, Stream<Left, LaneCount>& left,
              Stream<Right, LaneCount>& right) {
words:
  for (int word = 0; word < Words; ++word) {
#pragma HLS PIPELINE II = 1
    const Lanes<Left, LaneCount> x = left.read();
    const Lanes<Right, LaneCount> factor = right.read();
    out.write(multiply_word<Out>(x, factor));
  }
}

/// The exact product of `Positions` times `Words` words of `left` and the `Words` words of `right`,
/// which are kept for the frame.
template <class Out, int Positions, int Words, int LaneCount, class Left, class Right>
void multiply_kept(Stream<Out, LaneCount>& out, Stream<Left, LaneCount>& left,
                   Stream<Right, LaneCount>& right) {
  Lanes<Right, LaneCount> kept[Words];
positions:
  for (int position = 0; position < Positions; ++position) {
  words:
    for (int word = 0; word < Words; ++word) {
#pragma HLS PIPELINE II = 1
      const Lanes<Left, LaneCount> x = left.read();
      Lanes<Right, LaneCount> factor;
      if (position == 0) {
        factor = right.read();
        kept[word] = factor;
      } else {
        factor = kept[word];
      }
      out.write(multiply_word<Out>(x, factor));
    }
  }
}

/// Writes the next word of `in` to `out` if `word` is one of the `Words` from `first` on; returns
/// the first word after those.
template <int Words, class In, class Out, int LaneCount>
int pass_word(int word, int first, Stream<In, LaneCount>& in, Stream<Out, LaneCount>& out) {
#pragma HLS INLINE
  static_assert(In::bits == Out::bits && In::is_signed == Out::is_signed,
                "what is joined has one format");
  if (first <= word && word < first + Words) {
    const Lanes<In, LaneCount> x = in.read();
    Lanes<Out, LaneCount> y;
  lanes:
    for (int lane = 0; lane < LaneCount; ++lane) {
#pragma HLS UNROLL
      y.lane[lane] = x.lane[lane];
    }
    out.write(y);
  }
  return first + Words;
}

/// At each of `Positions` positions the channels of all `ins`, one behind the other; `Words` words
/// a position come from each.
template <class Out, int Positions, int... Words, int LaneCount, class... Ins>
void concat(Stream<Out, LaneCount>& out, Stream<Ins, LaneCount>&... ins) {
positions:
  for (int position = 0; position < Positions; ++position) {
  words:
    for (int word = 0; word < (Words + ...); ++word) {
#pragma HLS PIPELINE II = 1
      int first = 0;
      ((first = pass_word<Words>(word, first, ins, out)), ...);
    }
  }
}

} // namespace vecq
