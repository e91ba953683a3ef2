// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vecq/sliding_window.hpp"

namespace vecq {

/// The largest element of each window, channel by channel, from the windows' words.
template <class Format, class Window, int LaneCount>
void largest_of_window(Stream<Format, LaneCount>& in, Stream<Format, LaneCount>& out) {
  constexpr int folds = Window::Image::channels / LaneCount;
  Lanes<Format, LaneCount> best[folds];
#pragma HLS AGGREGATE variable = best compact = bit
positions:
  for (int position = 0; position < Window::positions; ++position) {
  cells:
    for (int cell = 0; cell < Window::cells; ++cell) {
    channels:
      for (int fold = 0; fold < folds; ++fold) {
#pragma HLS PIPELINE II = 1
        const Lanes<Format, LaneCount> x = in.read();
        Lanes<Format, LaneCount> largest;
      lanes:
        for (int lane = 0; lane < LaneCount; ++lane) {
#pragma HLS UNROLL
          const bool keep = cell > 0 && best[fold].lane[lane] > x.lane[lane];
          largest.lane[lane] = keep ? best[fold].lane[lane] : x.lane[lane];
        }
        best[fold] = largest;
        if (cell == Window::cells - 1) {
          out.write(largest);
        }
      }
    }
  }
}

/// The largest element of each window of a channels-last image in raster order.
///
/// Padding is ignored: it holds the least element, and a window reaches at least one cell.
template <class Format, class Window, int LaneCount>
void max_pool2d(Stream<Format, LaneCount>& in, Stream<Format, LaneCount>& out) {
#pragma HLS DATAFLOW
  static_assert(2 * Window::Padding::down <= Window::Kernel::height &&
                    2 * Window::Padding::across <= Window::Kernel::width,
                "padding is more than half the kernel");
  Stream<Format, LaneCount> windows("max_pool2d windows");
  sliding_window<Format, Window, LaneCount, Format::lo>(in, windows);
  largest_of_window<Format, Window, LaneCount>(windows, out);
}

} // namespace vecq
