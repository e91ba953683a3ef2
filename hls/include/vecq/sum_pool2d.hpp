// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vecq/window_reduction.hpp"

namespace vecq {

/// The exact sum.
struct Total {
  template <class In, class Out, class Sum, class Element>
  static typename Out::Value step(const Sum& before, const Element& cell, bool first) {
    using Value = typename Out::Value;
    const Value sum = first ? Value{0} : static_cast<Value>(before);
    return sum + static_cast<typename In::Value>(cell);
  }
};

/// The exact sum of each window of a channels-last image in raster order; padding counts as zeros.
template <class In, class Out, class Window, int LaneCount>
void sum_pool2d(Stream<In, LaneCount>& in, Stream<Out, LaneCount>& out) {
#pragma HLS DATAFLOW
  Stream<In, LaneCount> windows("sum_pool2d windows");
  sliding_window<In, Window, LaneCount, 0>(in, windows);
  reduce_windows<Total, In, Out, Window, LaneCount>(windows, out);
}

} // namespace vecq
