// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vecq/matrix_vector.hpp"
#include "vecq/sliding_window.hpp"

namespace vecq {

/// `conv2d` where windows must be cut out first; a function of its own, since a dataflow region
/// is a function body.
template <class In, class Out, class Weight, class Window, class Grouping, std::int64_t Pad = 0,
          class Words, class Bias>
void windows_to_outputs(Stream<In, Grouping::lanes>& in, Stream<Out, Grouping::pe>& out,
                        const Words& weights, const Bias (&bias)[Grouping::outputs]) {
#pragma HLS DATAFLOW
  Stream<In, Grouping::lanes> windows("conv2d windows");
  sliding_window<In, Window, Grouping::lanes, Pad, Grouping::blocks>(in, windows);
  matrix_vector<In, Out, Weight, Window::positions, Window::cells * Grouping::group_channels,
                Grouping>(windows, out, weights, bias);
}

/// Convolution of a channels-last image in raster order; code `Pad` pads it.  Exact, or wrapping
/// at the width of `Out`.  A row of weights runs over kernel rows, kernel columns, and the channels
/// of one of the groups that `Grouping` makes of them: one where it is depthwise.
template <class In, class Out, class Weight, class Window, class Grouping, std::int64_t Pad = 0,
          class Words, class Bias>
void conv2d(Stream<In, Grouping::lanes>& in, Stream<Out, Grouping::pe>& out, const Words& weights,
            const Bias (&bias)[Grouping::outputs]) {
#pragma HLS INLINE
  static_assert(Window::Image::channels ==
                    Grouping::blocks * Grouping::block_groups * Grouping::group_channels,
                "groups must share out the channels");
  if constexpr (Window::is_identity) {
    matrix_vector<In, Out, Weight, Window::positions, Grouping::group_channels, Grouping>(
        in, out, weights, bias);
  } else {
    windows_to_outputs<In, Out, Weight, Window, Grouping, Pad>(in, out, weights, bias);
  }
}

} // namespace vecq
