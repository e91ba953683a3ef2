// SPDX-License-Identifier: Apache-2.0
// What the code of a weight stands for, its product, and how codes lie in ROM words.
#pragma once

#include "vecq/formats.hpp"

namespace vecq {

/// Up to this many weight bits a product is shifted adds; above, a multiplier (a DSP) is smaller.
constexpr int shifted_add_bits = 4;

/// `x << shift` where `bit` of the code is set, else 0.
template <class Sum>
constexpr Sum gated_shift(Sum x, std::int32_t code, int bit, int shift) {
  const Sum gate = static_cast<Sum>(static_cast<Sum>(0) - static_cast<Sum>(code >> bit & 1));
  return static_cast<Sum>(x << shift) & gate;
}

/// The code q stands for the odd integer `2q + 1`; there is no zero.
template <int Bits>
struct MidRise {
  static_assert(1 <= Bits && Bits <= 16, "mid-rise weights have 1 to 16 bits");
  static constexpr int bits = Bits;

  /// `(2q + 1) * x`, exact modulo the width of `Sum`.
  ///
  /// The sign bit s of q gives `2q + 1 = (s ? -1 : 1) * (2m + 1)`, m being the other bits of q,
  /// complemented where s is set: one bit is a sign-add, k bits are k adds.
  template <class Sum>
  static constexpr Sum product(std::int32_t code, Sum x) {
    if constexpr (Bits <= shifted_add_bits) {
      const std::int32_t sign = code >> 31; // 0 or -1
      const std::int32_t magnitude = code ^ sign;
      Sum total = x;
      // No loop: compilers would rather not unroll one inside another.
      if constexpr (Bits > 1) {
        total += gated_shift(x, magnitude, 0, 1);
      }
      if constexpr (Bits > 2) {
        total += gated_shift(x, magnitude, 1, 2);
      }
      if constexpr (Bits > 3) {
        total += gated_shift(x, magnitude, 2, 3);
      }
      static_assert(shifted_add_bits == 4, "a term for each bit");
      const Sum negate = static_cast<Sum>(static_cast<std::int64_t>(sign));
      return (total ^ negate) - negate;
    } else {
      return static_cast<Sum>(static_cast<std::int64_t>(2 * code + 1)) * x;
    }
  }
};

/// The code is the value: for every grid that is not mid-rise (ternary, code books, powers of two),
/// whose values are stored instead of its codes.
template <int Bits>
struct TwosComplement {
  static_assert(1 <= Bits && Bits <= 32, "weights that are values have 1 to 32 bits");
  static constexpr int bits = Bits;

  /// `code * x`, exact modulo the width of `Sum`; the highest bit of a code counts negative.
  template <class Sum>
  static constexpr Sum product(std::int32_t code, Sum x) {
    if constexpr (Bits <= shifted_add_bits) {
      Sum total = static_cast<Sum>(0) - gated_shift(x, code, Bits - 1, Bits - 1);
      if constexpr (Bits > 1) {
        total += gated_shift(x, code, 0, 0);
      }
      if constexpr (Bits > 2) {
        total += gated_shift(x, code, 1, 1);
      }
      if constexpr (Bits > 3) {
        total += gated_shift(x, code, 2, 2);
      }
      static_assert(shifted_add_bits == 4, "a term for each bit");
      return total;
    } else {
      return static_cast<Sum>(static_cast<std::int64_t>(code)) * x;
    }
  }
};

/// How the weights of one fold lie in ROM words: word `part * Pe + pe` holds, for one processing
/// element, the codes of inputs `part * codes_per_word ...`, the first in the lowest bits.
///
/// 32 bits and not 64, so that a C simulation unpacks as many processing elements at a time as it
/// accumulates.  No code crosses words.
template <int WeightBits, int Pe, int Simd>
struct Packing {
  static_assert(1 <= WeightBits && WeightBits <= 32, "a ROM word holds codes of 1 to 32 bits");
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

} // namespace vecq
