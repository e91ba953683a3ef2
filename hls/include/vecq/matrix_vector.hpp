// SPDX-License-Identifier: Apache-2.0
// The folded matrix-vector unit behind dense and conv2d, and the mid-rise product.
#pragma once

#include "vecq/stream.hpp"

#include <numeric>

namespace vecq {

/// Up to this many weight bits a product is shifted adds; above, a multiplier (a DSP) is smaller.
constexpr int shifted_add_bits = 4;

/// `x << (bit + 1)` where `bit` of the magnitude is set, else 0.
template <class Sum>
constexpr Sum gated_shift(Sum x, std::int32_t magnitude, int bit) {
  const Sum gate = static_cast<Sum>(static_cast<Sum>(0) - static_cast<Sum>(magnitude >> bit & 1));
  return static_cast<Sum>(x << (bit + 1)) & gate;
}

/// `(2q + 1) * x` for the `WeightBits`-bit code q; exact modulo the width of `Sum`.
///
/// The sign bit s of q gives `2q + 1 = (s ? -1 : 1) * (2m + 1)`, m being the other bits of q,
/// complemented where s is set: one bit is a sign-add, k bits are k adds.
template <int WeightBits, class Sum>
constexpr Sum product(std::int32_t code, Sum x) {
  if constexpr (WeightBits <= shifted_add_bits) {
    const std::int32_t sign = code >> 31; // 0 or -1
    const std::int32_t magnitude = code ^ sign;
    Sum total = x;
    // No loop: compilers would rather not unroll one inside another.
    if constexpr (WeightBits > 1) {
      total += gated_shift(x, magnitude, 0);
    }
    if constexpr (WeightBits > 2) {
      total += gated_shift(x, magnitude, 1);
    }
    if constexpr (WeightBits > 3) {
      total += gated_shift(x, magnitude, 2);
    }
    static_assert(shifted_add_bits == 4, "a term for each bit");
    const Sum negate = static_cast<Sum>(static_cast<std::int64_t>(sign));
    return (total ^ negate) - negate;
  } else {
    return static_cast<Sum>(static_cast<std::int64_t>(2 * code + 1)) * x;
  }
}

/// How the weights of one fold lie in ROM words: word `part * Pe + pe` holds, for one processing
/// element, the codes of inputs `part * codes_per_word ...`, the first in the lowest bits.
///
/// 32 bits and not 64, so that a C simulation unpacks as many processing elements at a time as it
/// accumulates.  No code crosses words.
template <int WeightBits, int Pe, int Simd>
struct Packing {
  static_assert(1 <= WeightBits && WeightBits <= 16, "weights have 1 to 16 bits");
  static_assert(1 <= Pe && 1 <= Simd, "a fold has at least one lane");
  static constexpr int codes_per_word = Simd < 32 / WeightBits ? Simd : 32 / WeightBits;
  static constexpr int parts = (Simd + codes_per_word - 1) / codes_per_word;
  static constexpr int words = parts * Pe;
  static constexpr int word_bits = codes_per_word * WeightBits;
  /// The smallest integer that holds a word: plain, so that a ROM needs no code to fill it.
  using Word =
      std::conditional_t<(word_bits <= 8), std::uint8_t,
                         std::conditional_t<(word_bits <= 16), std::uint16_t, std::uint32_t>>;
};

/// How grouped channels meet the lanes.  A group's outputs read that group's `Channels` alone;
/// processing elements that work side by side may span several groups.
///
/// A block is the fewest whole groups whose outputs are a multiple of `Pe`.  Blocks come one after
/// the other.  Where a block has one group, as in a plain convolution, a word holds `Simd` of its
/// channels; else it holds all channels of the block, and each element picks its own.
template <int Channels, int Outputs, int Groups, int Pe, int Simd>
struct Grouping {
  static_assert(Outputs % Groups == 0, "groups must divide the outputs");
  static_assert(Outputs % Pe == 0, "processing elements must divide the outputs");
  static_assert(Channels % Simd == 0, "lanes must divide the channels of a group");
  static constexpr int outputs = Outputs;
  static constexpr int group_outputs = Outputs / Groups;
  static constexpr int group_channels = Channels;
  static constexpr int block_outputs = std::lcm(group_outputs, Pe);
  static constexpr int block_groups = block_outputs / group_outputs;
  static constexpr int blocks = Groups / block_groups;
  static constexpr int lanes = block_groups == 1 ? Simd : block_groups * Channels;
  /// So many input folds share a word.
  static constexpr int word_folds = block_groups == 1 ? 1 : Channels / Simd;
  static constexpr int pe = Pe;
  static constexpr int simd = Simd;

  /// Where in a word lane `simd` of the `part`-th input fold lies for an output of the block.
  static constexpr int lane(int output, int part, int simd) {
    return block_groups == 1 ? simd : output / group_outputs * Channels + part * Simd + simd;
  }
};

/// `out[o] = sum_i (2 q[o, i] + 1) * in[i] + bias[o]` for each of `Positions` vectors.
///
/// `Pe` outputs are computed side by side and take `Simd` inputs a cycle.  The sum wraps at the
/// width of `Out`, which is exact where that holds the true sum.  A block's inputs are kept and
/// replayed for every further fold of outputs.
///
/// @tparam Inputs  that an output reads: the channels of its group, cell by cell
/// @param weights  fold `o * (Inputs / Simd) + i` holds outputs `o * Pe ...`, inputs `i * Simd ...`
/// @param bias     in accumulator units
template <class In, class Out, int WeightBits, int Positions, int Inputs, class Grouping,
          class Words, class Bias>
void matrix_vector(Stream<In, Grouping::lanes>& in, Stream<Out, Grouping::pe>& out,
                   const Words& weights, const Bias (&bias)[Grouping::outputs]) {
  constexpr int Pe = Grouping::pe, Simd = Grouping::simd;
  using Layout = Packing<WeightBits, Pe, Simd>;
  static_assert(Inputs % Grouping::group_channels == 0, "channels must divide the inputs");
  static_assert(Out::is_signed, "an accumulator is signed");
  using Sum = typename Out::Sum;
  constexpr int input_folds = Inputs / Simd;
  constexpr int output_folds = Grouping::block_outputs / Pe;
  static_assert(
      std::is_same<
          Words, typename Layout::Word[Grouping::outputs / Pe * input_folds][Layout::words]>::value,
      "the ROM words are not those of this fold");
#pragma HLS ARRAY_RESHAPE variable = weights type = complete dim = 2
#pragma HLS ARRAY_PARTITION variable = bias type = cyclic factor = Pe
  Lanes<In, Grouping::lanes> replay[input_folds / Grouping::word_folds];
#pragma HLS AGGREGATE variable = replay compact = bit
  std::make_signed_t<Sum> accumulators[Pe];
#pragma HLS ARRAY_PARTITION variable = accumulators type = complete

positions:
  for (int position = 0; position < Positions; ++position) {
    int fold = 0; // which outputs, over all blocks
  blocks:
    for (int block = 0; block < Grouping::blocks; ++block) {
    outputs:
      for (int block_fold = 0; block_fold < output_folds; ++block_fold, ++fold) {
      inputs:
        for (int input_fold = 0; input_fold < input_folds; ++input_fold) {
#pragma HLS PIPELINE II = 1
          const int part = input_fold % Grouping::word_folds;
          const int kept = input_fold / Grouping::word_folds;
          Lanes<In, Grouping::lanes> x;
          if (block_fold == 0 && part == 0) {
            x = in.read();
            replay[kept] = x;
          } else {
            x = replay[kept];
          }
          Sum sums[Pe];
#pragma HLS ARRAY_PARTITION variable = sums type = complete
        clear:
          for (int pe = 0; pe < Pe; ++pe) {
#pragma HLS UNROLL
            sums[pe] = 0;
          }
        accumulate:
          for (int simd = 0; simd < Simd; ++simd) {
#pragma HLS UNROLL
            const int word = simd / Layout::codes_per_word;
            const int position_in_word = simd % Layout::codes_per_word * WeightBits;
          elements:
            for (int pe = 0; pe < Pe; ++pe) {
#pragma HLS UNROLL
              const int lane = Grouping::lane(block_fold * Pe + pe, part, simd);
              const Sum value = static_cast<Sum>(
                  static_cast<std::int64_t>(static_cast<typename In::Value>(x.lane[lane])));
              const std::uint32_t packed = weights[fold * input_folds + input_fold][word * Pe + pe];
              sums[pe] += product<WeightBits>(wrap<WeightBits>(packed >> position_in_word), value);
            }
          }
          Lanes<Out, Pe> y;
        finish: // one addition a cycle depends on the cycle before
          for (int pe = 0; pe < Pe; ++pe) {
#pragma HLS UNROLL
            const std::int64_t start = input_fold == 0
                                           ? static_cast<std::int64_t>(bias[fold * Pe + pe])
                                           : static_cast<std::int64_t>(accumulators[pe]);
            accumulators[pe] =
                wrap<Out::bits>(static_cast<Sum>(static_cast<Sum>(start) + sums[pe]));
            y.lane[pe] = accumulators[pe];
          }
          if (input_fold == input_folds - 1) {
            out.write(y);
          }
        }
      }
    }
  }
}

} // namespace vecq
