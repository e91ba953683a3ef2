// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vecq/stream.hpp"

namespace vecq {

/// `Words` words of constants, `Repeats` times a frame.
template <class Out, int Repeats, int Words, int LaneCount, class Value>
void constant(Stream<Out, LaneCount>& out, const Value (&values)[Words * LaneCount]) {
#pragma HLS ARRAY_PARTITION variable = values type = cyclic factor = LaneCount
repeats:
  for (int repeat = 0; repeat < Repeats; ++repeat) {
  words:
    for (int word = 0; word < Words; ++word) {
#pragma HLS PIPELINE II = 1
      Lanes<Out, LaneCount> y;
    lanes:
      for (int lane = 0; lane < LaneCount; ++lane) {
#pragma HLS UNROLL
        y.lane[lane] = values[word * LaneCount + lane];
      }
      out.write(y);
    }
  }
}

} // namespace vecq
