// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vecq/stream.hpp"

namespace vecq {

/// Of each of `Positions` positions the index of its largest channel, of several the lowest.
template <class In, class Out, int Channels, int Positions, int LaneCount>
void argmax(Stream<In, LaneCount>& in, Stream<Out, 1>& out) {
  using Value = typename In::Value;
  static_assert(Channels % LaneCount == 0, "lanes must divide the channels");
  constexpr int folds = Channels / LaneCount;
  Value largest = 0; // of the position so far
  int index = 0;
positions:
  for (int position = 0; position < Positions; ++position) {
  channels:
    for (int fold = 0; fold < folds; ++fold) {
#pragma HLS PIPELINE II = 1
      const Lanes<In, LaneCount> x = in.read();
      Value most = static_cast<Value>(x.lane[0]); // of the word
      int place = 0;
    lanes:
      for (int lane = 1; lane < LaneCount; ++lane) {
#pragma HLS UNROLL
        const Value element = static_cast<Value>(x.lane[lane]);
        if (element > most) {
          most = element;
          place = lane;
        }
      }
      if (fold == 0 || most > largest) {
        largest = most;
        index = fold * LaneCount + place;
      }
      if (fold == folds - 1) {
        Lanes<Out, 1> y;
        y.lane[0] = index;
        out.write(y);
      }
    }
  }
}

} // namespace vecq
