// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vecq/window_reduction.hpp"

namespace vecq {

/// The larger one.
struct Largest {
  template <class In, class Out, class Element>
  static Element step(const Element& before, const Element& cell, bool first) {
    return !first && before > cell ? before : cell;
  }
};

/// The largest element of each window of a channels-last image in raster order.
///
/// Padding is ignored: it holds the least element, and a window reaches at least one cell.
template <class Format, class Window, int LaneCount>
void max_pool2d(Stream<Format, LaneCount>& in, Stream<Format, LaneCount>& out) {
#pragma HLS DATAFLOW
  static_assert(Window::none_is_empty, "a window holds padding alone");
  Stream<Format, LaneCount> windows("max_pool2d windows");
  sliding_window<Format, Window, LaneCount, Format::lo>(in, windows);
  reduce_windows<Largest, Format, Format, Window, LaneCount>(windows, out);
}

} // namespace vecq
