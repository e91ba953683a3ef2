// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vecq/matrix_vector.hpp"
#include "vecq/sliding_window.hpp"

namespace vecq {

/// Convolution of a channels-last image in raster order; code 0 pads it.  Exact, or wrapping at
/// the width of `Out`.  A weight row runs over kernel rows, kernel columns, channels.
template <class In, class Out, int WeightBits, class Window, int Outputs, int Pe, int Simd,
          class Bias>
void conv2d(Stream<In, Simd> &in, Stream<Out, Pe> &out,
            const typename Packing<WeightBits, Pe, Simd>::Word (
                &weights)[Outputs / Pe * (Window::cells * Window::Image::channels / Simd)]
                         [Packing<WeightBits, Pe, Simd>::words],
            const Bias (&bias)[Outputs]) {
  constexpr int inputs = Window::cells * Window::Image::channels;
  static_assert(Window::Image::channels % Simd == 0, "lanes must divide the channels");
  if constexpr (Window::is_identity) {
    matrix_vector<In, Out, WeightBits, Window::positions, inputs, Outputs, Pe, Simd>(in, out,
                                                                                     weights, bias);
  } else {
#pragma HLS DATAFLOW
    Stream<In, Simd> windows("conv2d windows");
    sliding_window<In, Window, Simd, 0>(in, windows);
    matrix_vector<In, Out, WeightBits, Window::positions, inputs, Outputs, Pe, Simd>(windows, out,
                                                                                     weights, bias);
  }
}

} // namespace vecq
