// SPDX-License-Identifier: Apache-2.0
// What the code of a weight stands for, its product, and how codes lie in ROM words.
#pragma once

#include "vecq/formats.hpp"

namespace vecq {

/// Up to this many weight bits a product is shifted adds; above, a multiplier (a DSP) is smaller.
constexpr int shifted_add_bits = 4;

/// Bit `place` of `word` as every bit of a `Sum`.
template <class Sum>
constexpr Sum gate(Sum word, int place) {
  constexpr int top = 8 * static_cast<int>(sizeof(Sum)) - 1;
  const Sum raised = static_cast<Sum>(word << (top - place));
  return static_cast<Sum>(static_cast<std::make_signed_t<Sum>>(raised) >> top);
}

/// `total` plus `x << shift` where `gate` is set.
template <class Sum>
constexpr Sum gated_add(Sum total, Sum x, int shift, Sum gate) {
  return static_cast<Sum>(total + (static_cast<Sum>(x << shift) & gate));
}

/// The code q stands for the odd integer `2q + 1`; there is no zero.
template <int Bits>
struct MidRise {
  static_assert(1 <= Bits && Bits <= 16, "mid-rise weights have 1 to 16 bits");
  static constexpr int bits = Bits;

  /// `(2q + 1) * x`, exact modulo the width of `Sum`; the low bits of `code` are those of q.
  ///
  /// The sign bit s of q gives `2q + 1 = (s ? -1 : 1) * (2m + 1)`, m being the other bits of q,
  /// complemented where s is set: one bit is a sign-add, k bits are k adds.
  template <class Sum>
  static constexpr Sum product(Sum code, Sum x) {
    if constexpr (Bits <= shifted_add_bits) {
      const Sum sign = gate(code, Bits - 1);
      Sum total = x;
      // No loop: compilers would rather not unroll one inside another.
      if constexpr (Bits > 1) {
        total = gated_add<Sum>(total, x, 1, gate(code, 0) ^ sign);
      }
      if constexpr (Bits > 2) {
        total = gated_add<Sum>(total, x, 2, gate(code, 1) ^ sign);
      }
      if constexpr (Bits > 3) {
        total = gated_add<Sum>(total, x, 3, gate(code, 2) ^ sign);
      }
      static_assert(shifted_add_bits == 4, "a term for each bit");
      return static_cast<Sum>((total ^ sign) - sign);
    } else {
      return static_cast<Sum>((2U * static_cast<Sum>(wrap<Bits>(code)) + 1U) * x);
    }
  }
};

/// The code is the value: for grids whose values are not all odd (ternary, code books, powers of
/// two); the values are stored instead of the codes.
template <int Bits>
struct TwosComplement {
  static_assert(1 <= Bits && Bits <= 32, "weights that are values have 1 to 32 bits");
  static constexpr int bits = Bits;

  /// `code * x`, exact modulo the width of `Sum`; the highest of the `Bits` low bits of `code`
  /// counts negative.
  template <class Sum>
  static constexpr Sum product(Sum code, Sum x) {
    if constexpr (Bits <= shifted_add_bits) {
      Sum total = 0;
      if constexpr (Bits > 1) {
        total = gated_add<Sum>(total, x, 0, gate(code, 0));
      }
      if constexpr (Bits > 2) {
        total = gated_add<Sum>(total, x, 1, gate(code, 1));
      }
      if constexpr (Bits > 3) {
        total = gated_add<Sum>(total, x, 2, gate(code, 2));
      }
      static_assert(shifted_add_bits == 4, "a term for each bit");
      return static_cast<Sum>(total - (static_cast<Sum>(x << (Bits - 1)) & gate(code, Bits - 1)));
    } else {
      return static_cast<Sum>(1U * static_cast<Sum>(wrap<Bits>(code)) * x);
    }
  }
};

/// How the weights of one fold lie in ROM words: word `part * Pe + pe` holds, for one processing
/// element, the codes of inputs `part * codes_per_word ...`, the first in the lowest bits.
///
/// At most 16 bits, so that a C simulation unpacks as many processing elements at a time as it
/// accumulates.  No code crosses words; a wider code is a word of its own.
template <int WeightBits, int Pe, int Simd>
struct Packing {
  static_assert(1 <= WeightBits && WeightBits <= 32, "a ROM word holds codes of 1 to 32 bits");
  static_assert(1 <= Pe && 1 <= Simd, "a fold has at least one lane");
  static constexpr int most_codes = WeightBits < 16 ? 16 / WeightBits : 1;
  static constexpr int codes_per_word = Simd < most_codes ? Simd : most_codes;
  static constexpr int parts = (Simd + codes_per_word - 1) / codes_per_word;
  static constexpr int words = parts * Pe;
  static constexpr int word_bits = codes_per_word * WeightBits;
  /// The smallest integer that holds a word: plain, so that a ROM needs no code to fill it.
  using Word =
      std::conditional_t<(word_bits <= 8), std::uint8_t,
                         std::conditional_t<(word_bits <= 16), std::uint16_t, std::uint32_t>>;
};

/// How the folded unit reads its weights, `Folds` folds of them: by default ROM words.
///
/// `word` gives codes of inputs `part * codes_per_word ...` at `part * Pe + pe`.
template <class Words, int Bits, int Pe, int Simd, int Folds>
struct Layout : Packing<Bits, Pe, Simd> {
  using Rom = Packing<Bits, Pe, Simd>;
  static_assert(std::is_same<Words, typename Rom::Word[Folds][Rom::words]>::value,
                "the ROM words are not those of this fold");

  static void bind(const Words& weights) {
#pragma HLS INLINE
#pragma HLS ARRAY_RESHAPE variable = weights type = complete dim = 2
    static_cast<void>(weights);
  }

  static typename Rom::Word word(const Words& weights, int fold, int place) {
#pragma HLS INLINE
    return weights[fold][place];
  }
};

} // namespace vecq
