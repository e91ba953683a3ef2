// SPDX-License-Identifier: Apache-2.0
// The folded matrix-vector unit behind dense and conv2d.
#pragma once

#include "vecq/stream.hpp"
#include "vecq/weights.hpp"

namespace vecq {

/// How grouped channels meet the lanes.  A group's outputs read that group's `Channels` alone.
///
/// A block is one group, or the groups that the processing elements span: they span whole groups
/// and take all channels of each in one cycle.  Blocks come one after the other.  A word holds
/// `Simd` channels of each group of the block.
template <int Channels, int Outputs, int Groups, int Pe, int Simd>
struct Grouping {
  static_assert(Outputs % Groups == 0, "groups must divide the outputs");
  static_assert(Outputs % Pe == 0, "processing elements must divide the outputs");
  static_assert(Channels % Simd == 0, "lanes must divide the channels of a group");
  static constexpr int outputs = Outputs;
  static constexpr int group_outputs = Outputs / Groups;
  static constexpr int group_channels = Channels;
  static_assert(group_outputs % Pe == 0 || (Pe % group_outputs == 0 && Simd == Channels),
                "processing elements divide the outputs of a group, or span whole groups and take "
                "all their channels");
  static constexpr int block_outputs = group_outputs > Pe ? group_outputs : Pe;
  static constexpr int block_groups = block_outputs / group_outputs;
  static constexpr int blocks = Groups / block_groups;
  static constexpr int lanes = block_groups * Simd;
  static constexpr int pe = Pe;
  static constexpr int simd = Simd;

  /// Where in a word the `input`-th of an input fold lies for an output of the block.
  static constexpr int lane(int output, int input) {
    return block_groups == 1 ? input : output / group_outputs * Channels + input;
  }
};

/// Bits that hold every sum of `count` products of a weight and an input; fewer where the
/// accumulator keeps fewer, so that it wraps, but never fewer than a code has.
template <class In, class Out, class Weight>
constexpr int partial_bits(int count) {
  int bits = In::bits + Weight::bits + 1;
  for (int terms = 1; terms < count; terms *= 2) {
    ++bits;
  }
  const int kept = Out::bits > Weight::bits ? Out::bits : Weight::bits;
  return bits < kept ? bits : kept;
}

/// `out[o] = sum_i value(weights[o, i]) * in[i] + bias[o]` for each of `Positions` vectors.
///
/// `Pe` outputs are computed side by side and take `Simd` inputs per cycle.  The sum wraps at the
/// width of `Out`, which is exact where that holds the true sum.  A block's inputs are kept and
/// replayed for every further fold of outputs.
///
/// The loops are a perfect nest of constant bounds, so that Vitis HLS makes one pipeline of them,
/// which is filled once a call.  What one iteration leaves for the next is the accumulators alone:
/// registers, one addition.
///
/// @tparam Weight  `MidRise` or `TwosComplement`: what the codes in the ROM stand for
/// @tparam Inputs  that an output reads: the channels of its group, cell by cell
/// @param weights  fold `o * (Inputs / Simd) + i` holds outputs `o * Pe ...`, inputs `i * Simd ...`
/// @param bias     in accumulator units
template <class In, class Out, class Weight, int Positions, int Inputs, class Grouping, class Words,
          class Bias>
void matrix_vector(Stream<In, Grouping::lanes>& in, Stream<Out, Grouping::pe>& out,
                   const Words& weights, const Bias (&bias)[Grouping::outputs]) {
  constexpr int Pe = Grouping::pe, Simd = Grouping::simd;
  static_assert(Inputs % Grouping::group_channels == 0, "channels must divide the inputs");
  static_assert(Out::is_signed, "an accumulator is signed");
  using Sum = typename Out::Sum;
  using Partial = Modular<partial_bits<In, Out, Weight>(Simd)>; // of one cycle's products
  constexpr int input_folds = Inputs / Simd;
  constexpr int output_folds = Grouping::block_outputs / Pe;
  using Layout = vecq::Layout<Words, Weight::bits, Pe, Simd, Grouping::outputs / Pe * input_folds>;
  Layout::bind(weights);
#pragma HLS ARRAY_PARTITION variable = bias type = cyclic factor = Pe
  Lanes<In, Grouping::lanes> replay[input_folds];
#pragma HLS AGGREGATE variable = replay compact = bit
  std::make_signed_t<Sum> accumulators[Pe];
#pragma HLS ARRAY_PARTITION variable = accumulators type = complete

positions:
  for (int position = 0; position < Positions; ++position) {
  blocks:
    for (int block = 0; block < Grouping::blocks; ++block) {
    outputs:
      for (int block_fold = 0; block_fold < output_folds; ++block_fold) {
      inputs:
        for (int input_fold = 0; input_fold < input_folds; ++input_fold) {
#pragma HLS PIPELINE II = 1
          const int fold = block * output_folds + block_fold; // which outputs, over all blocks
          Lanes<In, Grouping::lanes> x;
          if (block_fold == 0) {
            x = in.read();
            replay[input_fold] = x;
          } else {
            x = replay[input_fold];
          }
          Partial sums[Pe] = {};
#pragma HLS ARRAY_PARTITION variable = sums type = complete
        words:
          for (int word = 0; word < Layout::parts; ++word) {
#pragma HLS UNROLL
            Partial codes[Pe]; // the next one in the lowest bits
#pragma HLS ARRAY_PARTITION variable = codes type = complete
          fetch:
            for (int pe = 0; pe < Pe; ++pe) {
#pragma HLS UNROLL
              codes[pe] = static_cast<Partial>(
                  Layout::word(weights, fold * input_folds + input_fold, word * Pe + pe));
            }
          accumulate:
            for (int code = 0; code < Layout::codes_per_word; ++code) {
#pragma HLS UNROLL
              const int simd = word * Layout::codes_per_word + code;
              if (simd < Simd) { // the last word may hold fewer
              elements:
                for (int pe = 0; pe < Pe; ++pe) {
#pragma HLS UNROLL
                  const int lane = Grouping::lane(block_fold * Pe + pe, simd);
                  const Partial value = static_cast<Partial>(
                      static_cast<std::int64_t>(static_cast<typename In::Value>(x.lane[lane])));
                  sums[pe] = static_cast<Partial>(sums[pe] + Weight::product(codes[pe], value));
                  if constexpr (Layout::codes_per_word > 1) { // one code may fill the integer
                    codes[pe] = static_cast<Partial>(codes[pe] >> Weight::bits);
                  }
                }
              }
            }
          }
          if (input_fold == 0) {
          start:
            for (int pe = 0; pe < Pe; ++pe) {
#pragma HLS UNROLL
              accumulators[pe] = static_cast<std::make_signed_t<Sum>>(
                  static_cast<std::int64_t>(bias[fold * Pe + pe]));
            }
          }
        finish: // one addition per cycle depends on the cycle before
          for (int pe = 0; pe < Pe; ++pe) {
#pragma HLS UNROLL
            const auto sum = static_cast<std::make_signed_t<Partial>>(sums[pe]);
            accumulators[pe] = wrap<Out::bits>(static_cast<Sum>(
                static_cast<Sum>(accumulators[pe]) + static_cast<Sum>(std::int64_t{sum})));
          }
          if (input_fold == input_folds - 1) {
            Lanes<Out, Pe> y;
          give:
            for (int pe = 0; pe < Pe; ++pe) {
#pragma HLS UNROLL
              y.lane[pe] = accumulators[pe];
            }
            out.write(y);
          }
        }
      }
    }
  }
}

} // namespace vecq
