// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vecq/stream.hpp"

namespace vecq {

/// The row of `table` that each of `Length` indices names, `LaneCount` of its `Channels` values a
/// cycle.
template <class In, class Out, int Length, int Channels, int LaneCount, int Rows, class Value>
void embedding(Stream<In, 1>& in, Stream<Out, LaneCount>& out,
               const Value (&table)[Rows][Channels]) {
  static_assert(Channels % LaneCount == 0, "lanes must divide the channels");
#pragma HLS ARRAY_PARTITION variable = table type = cyclic factor = LaneCount dim = 2
  Lanes<In, 1> index;
steps:
  for (int step = 0; step < Length; ++step) {
  folds:
    for (int fold = 0; fold < Channels / LaneCount; ++fold) {
#pragma HLS PIPELINE II = 1
      if (fold == 0) {
        index = in.read();
      }
      const int row = static_cast<int>(static_cast<typename In::Value>(index.lane[0]));
      Lanes<Out, LaneCount> y;
    lanes:
      for (int lane = 0; lane < LaneCount; ++lane) {
#pragma HLS UNROLL
        y.lane[lane] = static_cast<typename Out::Value>(table[row][fold * LaneCount + lane]);
      }
      out.write(y);
    }
  }
}

} // namespace vecq
