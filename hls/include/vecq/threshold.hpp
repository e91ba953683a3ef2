// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vecq/stream.hpp"

namespace vecq {

/// `lo` plus how many of its channel's `Levels` thresholds an accumulator reaches: `>=`, or `<=`
/// where the channel is falling.
///
/// For `Positions` vectors of `Channels` accumulators, `LaneCount` of them a cycle; `Rows` is 1,
/// a row for all channels, or `Channels`.  A rescale to few bits by comparators alone.
template <class In, class Out, int Positions, int Channels, int Levels, int LaneCount, class Limit,
          int Rows>
void threshold(Stream<In, LaneCount>& in, Stream<Out, LaneCount>& out,
               const Limit (&thresholds)[Rows][Levels], const std::int8_t (&falling)[Rows]) {
  static_assert(Rows == 1 || Rows == Channels, "one row of thresholds, or one for each channel");
  static_assert(Channels % LaneCount == 0, "lanes must divide the channels");
  static_assert(Out::lo + Levels == Out::hi, "each threshold is one step of the output");
#pragma HLS ARRAY_PARTITION variable = thresholds type = cyclic factor = LaneCount dim = 1
#pragma HLS ARRAY_PARTITION variable = thresholds type = complete dim = 2
#pragma HLS ARRAY_PARTITION variable = falling type = cyclic factor = LaneCount
positions:
  for (int position = 0; position < Positions; ++position) {
  folds:
    for (int fold = 0; fold < Channels / LaneCount; ++fold) {
#pragma HLS PIPELINE II = 1
      const Lanes<In, LaneCount> x = in.read();
      Lanes<Out, LaneCount> y;
    lanes:
      for (int lane = 0; lane < LaneCount; ++lane) {
#pragma HLS UNROLL
        const int row = Rows == 1 ? 0 : fold * LaneCount + lane;
        const std::int64_t value = static_cast<typename In::Value>(x.lane[lane]);
        int reached = 0;
      levels:
        for (int level = 0; level < Levels; ++level) {
#pragma HLS UNROLL
          const Limit limit = thresholds[row][level];
          reached += (falling[row] != 0 ? value <= limit : value >= limit) ? 1 : 0;
        }
        y.lane[lane] = static_cast<typename Out::Value>(Out::lo + reached);
      }
      out.write(y);
    }
  }
}

} // namespace vecq
