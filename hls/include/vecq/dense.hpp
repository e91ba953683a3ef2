// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vecq/matrix_vector.hpp"

namespace vecq {

/// `out[o] = sum_c value(weights[o, c]) * in[c] + bias[o]`, exact or wrapping at the width of
/// `Out`.
template <class In, class Out, class Weight, int Inputs, int Outputs, int Pe, int Simd, class Words,
          class Bias>
void dense(Stream<In, Simd>& in, Stream<Out, Pe>& out, const Words& weights,
           const Bias (&bias)[Outputs]) {
#pragma HLS INLINE
  matrix_vector<In, Out, Weight, 1, Inputs, Grouping<Inputs, Outputs, 1, Pe, Simd>>(in, out,
                                                                                    weights, bias);
}

} // namespace vecq
