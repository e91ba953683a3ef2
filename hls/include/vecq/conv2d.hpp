// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vecq/matrix_vector.hpp"
#include "vecq/sliding_window.hpp"

namespace vecq {

/// `conv2d` where windows must be cut out first; a function of its own, since a dataflow region
/// is a function body.
template <class In, class Out, int WeightBits, class Window, int Outputs, int Pe, int Simd,
          class Words, class Bias>
void windows_to_outputs(Stream<In, Simd>& in, Stream<Out, Pe>& out, const Words& weights,
                        const Bias (&bias)[Outputs]) {
#pragma HLS DATAFLOW
  Stream<In, Simd> windows("conv2d windows");
  sliding_window<In, Window, Simd, 0>(in, windows);
  matrix_vector<In, Out, WeightBits, Window::positions, Window::cells * Window::Image::channels,
                Outputs, Pe, Simd>(windows, out, weights, bias);
}

/// Convolution of a channels-last image in raster order; code 0 pads it.  Exact, or wrapping at
/// the width of `Out`.  A row of weights runs over kernel rows, kernel columns, channels.
template <class In, class Out, int WeightBits, class Window, int Outputs, int Pe, int Simd,
          class Words, class Bias>
void conv2d(Stream<In, Simd>& in, Stream<Out, Pe>& out, const Words& weights,
            const Bias (&bias)[Outputs]) {
#pragma HLS INLINE
  static_assert(Window::Image::channels % Simd == 0, "lanes must divide the channels");
  if constexpr (Window::is_identity) {
    matrix_vector<In, Out, WeightBits, Window::positions, Window::Image::channels, Outputs, Pe,
                  Simd>(in, out, weights, bias);
  } else {
    windows_to_outputs<In, Out, WeightBits, Window, Outputs, Pe, Simd>(in, out, weights, bias);
  }
}

} // namespace vecq
