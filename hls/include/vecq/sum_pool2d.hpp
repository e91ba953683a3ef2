// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vecq/sliding_window.hpp"

namespace vecq {

/// The sum of each window, channel by channel, from the windows' words.
template <class In, class Out, class Window, int LaneCount>
void sum_of_window(Stream<In, LaneCount>& in, Stream<Out, LaneCount>& out) {
  constexpr int folds = Window::Image::channels / LaneCount;
  Lanes<Out, LaneCount> sums[folds];
#pragma HLS AGGREGATE variable = sums compact = bit
positions:
  for (int position = 0; position < Window::positions; ++position) {
  cells:
    for (int cell = 0; cell < Window::cells; ++cell) {
    channels:
      for (int fold = 0; fold < folds; ++fold) {
#pragma HLS PIPELINE II = 1
        const Lanes<In, LaneCount> x = in.read();
        Lanes<Out, LaneCount> sum;
      lanes:
        for (int lane = 0; lane < LaneCount; ++lane) {
#pragma HLS UNROLL
          using Value = typename Out::Value;
          const Value before = cell == 0 ? Value{0} : static_cast<Value>(sums[fold].lane[lane]);
          sum.lane[lane] = before + static_cast<typename In::Value>(x.lane[lane]);
        }
        sums[fold] = sum;
        if (cell == Window::cells - 1) {
          out.write(sum);
        }
      }
    }
  }
}

/// The exact sum of each window of a channels-last image in raster order; padding counts as zeros.
template <class In, class Out, class Window, int LaneCount>
void sum_pool2d(Stream<In, LaneCount>& in, Stream<Out, LaneCount>& out) {
#pragma HLS DATAFLOW
  Stream<In, LaneCount> windows("sum_pool2d windows");
  sliding_window<In, Window, LaneCount, 0>(in, windows);
  sum_of_window<In, Out, Window, LaneCount>(windows, out);
}

} // namespace vecq
