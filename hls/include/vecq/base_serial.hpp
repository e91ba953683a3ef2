// SPDX-License-Identifier: Apache-2.0
// Weights that are sums of binary bases: passes of sign-adds, each times a coordinate.
#pragma once

#include "vecq/sliding_window.hpp"
#include "vecq/weights.hpp"

namespace vecq {

/// `Pe` outputs take `Passes` passes over groups of `GroupWords` words, `Simd` inputs each, of the
/// `Words` words that a vector or window has.
template <int Words, int GroupWords, int Passes, int Pe, int Simd>
struct BasePasses {
  static_assert(Words % GroupWords == 0, "groups must divide the words");
  static constexpr int words = Words, group_words = GroupWords, passes = Passes;
  static constexpr int pe = Pe, simd = Simd;
};

/// `out[o] = sum over passes of coordinates[pass][o] * sum_i +-in[i], plus bias[o]` for each of
/// `Positions` vectors.
///
/// The sum wraps at the width of `Out`, which is exact where that holds the true sum.
///
/// @param bases        codes of `MidRise<1>`, as the words of `Packing`: row `pass * GroupWords +
/// i`
/// @param coordinates  of each pass for all processing elements
/// @param addresses    the first word of each pass's group
/// @param ends         of each pass whether it is the last of its outputs
template <class In, class Out, int Positions, class Shape, class Bases, class Coordinate,
          class Address, class End, class Bias, int Outputs>
void base_serial(Stream<In, Shape::simd>& in, Stream<Out, Shape::pe>& out, const Bases& bases,
                 const Coordinate (&coordinates)[Shape::passes][Shape::pe],
                 const Address (&addresses)[Shape::passes], const End (&ends)[Shape::passes],
                 const Bias (&bias)[Outputs]) {
  constexpr int Pe = Shape::pe, Simd = Shape::simd;
  using Weight = MidRise<1>;
  using Layout = Packing<1, Pe, Simd>;
  using Sum = typename Out::Sum;
#pragma HLS ARRAY_RESHAPE variable = bases type = complete dim = 2
#pragma HLS ARRAY_RESHAPE variable = coordinates type = complete dim = 2
#pragma HLS ARRAY_PARTITION variable = bias type = cyclic factor = Pe
  Lanes<In, Simd> frame[Shape::words];
#pragma HLS AGGREGATE variable = frame compact = bit
  Sum partial[Pe];
#pragma HLS ARRAY_PARTITION variable = partial type = complete
  Sum accumulators[Pe];
#pragma HLS ARRAY_PARTITION variable = accumulators type = complete

positions:
  for (int position = 0; position < Positions; ++position) {
  store:
    for (int word = 0; word < Shape::words; ++word) {
#pragma HLS PIPELINE II = 1
      frame[word] = in.read();
    }
    int first_output = 0;
    bool begins = true;
  passes:
    for (int pass = 0; pass < Shape::passes; ++pass) {
    words:
      for (int word = 0; word < Shape::group_words; ++word) {
#pragma HLS PIPELINE II = 1
        const Lanes<In, Simd> x = frame[static_cast<std::int64_t>(addresses[pass]) + word];
        const bool ends_now = ends[pass] != 0 && word == Shape::group_words - 1;
        Lanes<Out, Pe> y;
      elements:
        for (int pe = 0; pe < Pe; ++pe) {
#pragma HLS UNROLL
          Sum sum = 0;
        lanes:
          for (int simd = 0; simd < Simd; ++simd) {
#pragma HLS UNROLL
            const int part = simd / Layout::codes_per_word;
            const auto codes = bases[pass * Shape::group_words + word][part * Pe + pe];
            const Sum code = static_cast<Sum>(codes >> (simd % Layout::codes_per_word));
            const Sum value = static_cast<Sum>(
                static_cast<std::int64_t>(static_cast<typename In::Value>(x.lane[simd])));
            sum = static_cast<Sum>(sum + Weight::product<Sum>(code, value));
          }
          partial[pe] = static_cast<Sum>((word == 0 ? Sum{0} : partial[pe]) + sum);
          if (word == Shape::group_words - 1) {
            const Sum start =
                begins ? static_cast<Sum>(static_cast<std::int64_t>(bias[first_output + pe]))
                       : accumulators[pe];
            const Sum factor = static_cast<Sum>(static_cast<std::int64_t>(coordinates[pass][pe]));
            accumulators[pe] = static_cast<Sum>(start + factor * partial[pe]);
          }
          y.lane[pe] = wrap<Out::bits>(accumulators[pe]);
        }
        if (word == Shape::group_words - 1) {
          begins = ends_now;
        }
        if (ends_now) {
          out.write(y);
          first_output += Pe;
        }
      }
    }
  }
}

/// `base_serial` of the windows of an image, which code `Pad` pads; a function of its own, since a
/// dataflow region is a function body.
template <class In, class Out, class Window, class Shape, std::int64_t Pad = 0, class Bases,
          class Coordinate, class Address, class End, class Bias, int Outputs>
void windows_by_bases(Stream<In, Shape::simd>& in, Stream<Out, Shape::pe>& out, const Bases& bases,
                      const Coordinate (&coordinates)[Shape::passes][Shape::pe],
                      const Address (&addresses)[Shape::passes], const End (&ends)[Shape::passes],
                      const Bias (&bias)[Outputs]) {
#pragma HLS DATAFLOW
  Stream<In, Shape::simd> windows("base_serial windows");
  sliding_window<In, Window, Shape::simd, Pad>(in, windows);
  base_serial<In, Out, Window::positions, Shape>(windows, out, bases, coordinates, addresses, ends,
                                                 bias);
}

} // namespace vecq
