// SPDX-License-Identifier: Apache-2.0
// Product weights by tables: each block of inputs meets each word of a book once.
#pragma once

#include "vecq/sliding_window.hpp"
#include "vecq/weights.hpp"

namespace vecq {

/// A vector or window of `Words` words, `Simd` inputs each: `Taps` kernel positions, in each of
/// them the `Groups` groups of a convolution.  `Pe` of the `Outputs` outputs are added to at once.
/// A word of a book of `Count` weighs `Length` inputs.
template <int Words, int Taps, int Groups, int Outputs, int Pe, int Simd, int Count, int Length>
struct SumTables {
  static_assert(Words % (Taps * Groups) == 0, "taps and groups must divide the words");
  static_assert(Outputs % (Groups * Pe) == 0, "processing elements must divide a group's outputs");
  static_assert(Simd % Length == 0, "words of the book must divide the lanes");
  static constexpr int words = Words, outputs = Outputs, pe = Pe, simd = Simd;
  static constexpr int count = Count, length = Length;
  static constexpr int blocks = Simd / Length;
  static constexpr int inner = Words / (Taps * Groups); // words of a group at a kernel position
  static constexpr int turns = Outputs / (Groups * Pe); // words of a group's outputs
  static constexpr int groups = Groups, folds = Outputs / Pe;
  static constexpr int last_tap = Words - Words / Taps; // its first word

  /// The largest power of two that neither the turns nor the words of the book are fewer than.
  static constexpr int filled_lines() {
    int lines = 1;
    while (2 * lines <= turns && 2 * lines <= Count) {
      lines *= 2;
    }
    return lines;
  }
  static constexpr int lines = filled_lines(); // of a table, filled in as many cycles
  static constexpr int parallel = Count / lines;
};

/// `out[o] = sum over blocks b of sum_i codes[indices[b][o]][i] * in[b][i], plus bias[o]` for each
/// of `Positions` vectors.
///
/// The sum wraps at the width of `Out`, which is exact where that holds the true sum.  The tables
/// of a word are filled while the ones of the word before are looked up.
///
/// @param codes    of `Weight`, the words of the book
/// @param indices  row `word * turns + turn`: of block 0 for all processing elements, of block 1
template <class In, class Out, class Weight, int Positions, class Shape, class Code, class Index,
          class Bias>
void partial_sums(Stream<In, Shape::simd>& in, Stream<Out, Shape::pe>& out,
                  const Code (&codes)[Shape::count][Shape::length],
                  const Index (&indices)[Shape::words * Shape::turns][Shape::blocks * Shape::pe],
                  const Bias (&bias)[Shape::outputs]) {
  constexpr int Pe = Shape::pe, Blocks = Shape::blocks, Parallel = Shape::parallel;
  using Sum = typename Out::Sum;
#pragma HLS ARRAY_RESHAPE variable = codes type = complete dim = 2
#pragma HLS ARRAY_RESHAPE variable = codes type = cyclic factor = Parallel dim = 1
#pragma HLS ARRAY_RESHAPE variable = indices type = complete dim = 2
#pragma HLS ARRAY_PARTITION variable = bias type = cyclic factor = Pe
  Lanes<In, Shape::simd> x;
  // Two of each: one is filled, the other looked up.
  Sum tables[2][Blocks][Shape::count];
#pragma HLS ARRAY_PARTITION variable = tables type = complete dim = 1
#pragma HLS ARRAY_PARTITION variable = tables type = complete dim = 2
#pragma HLS ARRAY_PARTITION variable = tables type = cyclic factor = Parallel dim = 3
  Sum accumulators[Shape::folds][Pe];
#pragma HLS ARRAY_RESHAPE variable = accumulators type = complete dim = 2

positions:
  for (int position = 0; position < Positions; ++position) {
    int group = 0, inner = 0;
  words:
    for (int word = 0; word <= Shape::words; ++word) {
      const int filled = word % 2;
    turns:
      for (int turn = 0; turn < Shape::turns; ++turn) {
#pragma HLS PIPELINE II = 1
        if (word < Shape::words && turn == 0) {
          x = in.read();
        }
        if (word < Shape::words && turn < Shape::lines) {
        blocks:
          for (int block = 0; block < Blocks; ++block) {
#pragma HLS UNROLL
          products:
            for (int place = 0; place < Parallel; ++place) {
#pragma HLS UNROLL
              const int line = turn * Parallel + place;
              Sum sum = 0;
            lanes:
              for (int lane = 0; lane < Shape::length; ++lane) {
#pragma HLS UNROLL
                const Sum code = static_cast<Sum>(static_cast<std::int64_t>(codes[line][lane]));
                const Sum value = static_cast<Sum>(static_cast<std::int64_t>(
                    static_cast<typename In::Value>(x.lane[block * Shape::length + lane])));
                sum = static_cast<Sum>(sum + Weight::template product<Sum>(code, value));
              }
              tables[filled][block][line] = sum;
            }
          }
        }
        if (word > 0) {
          const int read = word - 1, fold = group * Shape::turns + turn;
          const bool starts = read < Shape::groups * Shape::inner && inner == 0;
          Lanes<Out, Pe> y;
        elements:
          for (int pe = 0; pe < Pe; ++pe) {
#pragma HLS UNROLL
            Sum sum = starts ? static_cast<Sum>(static_cast<std::int64_t>(bias[fold * Pe + pe]))
                             : accumulators[fold][pe];
          terms:
            for (int block = 0; block < Blocks; ++block) {
#pragma HLS UNROLL
              const auto index = indices[read * Shape::turns + turn][block * Pe + pe];
              sum = static_cast<Sum>(sum + tables[1 - filled][block][index]);
            }
            accumulators[fold][pe] = sum;
            y.lane[pe] = wrap<Out::bits>(sum);
          }
          if (read >= Shape::last_tap && inner == Shape::inner - 1) {
            out.write(y);
          }
        }
      }
      if (word > 0) {
        const bool last = inner == Shape::inner - 1;
        inner = last ? 0 : inner + 1;
        group = !last ? group : (group == Shape::groups - 1 ? 0 : group + 1);
      }
    }
  }
}

/// `partial_sums` of the windows of an image, which code `Pad` pads; a function of its own, since a
/// dataflow region is a function body.
template <class In, class Out, class Weight, class Window, class Shape, std::int64_t Pad = 0,
          class Code, class Index, class Bias>
void windows_by_sums(Stream<In, Shape::simd>& in, Stream<Out, Shape::pe>& out,
                     const Code (&codes)[Shape::count][Shape::length],
                     const Index (&indices)[Shape::words * Shape::turns][Shape::blocks * Shape::pe],
                     const Bias (&bias)[Shape::outputs]) {
#pragma HLS DATAFLOW
  Stream<In, Shape::simd> windows("partial_sums windows");
  sliding_window<In, Window, Shape::simd, Pad>(in, windows);
  partial_sums<In, Out, Weight, Window::positions, Shape>(windows, out, codes, indices, bias);
}

} // namespace vecq
