// SPDX-License-Identifier: Apache-2.0
// Weights as indices into a book of words, for the folded matrix-vector unit.
#pragma once

#include "vecq/weights.hpp"

namespace vecq {

/// Blocks of `Length` neighbouring inputs, each a word of a book of `Count` words.
///
/// `Length` divides `Simd`, or `Simd` divides it: then that many folds share an index.
///
/// @tparam Folds  of outputs, times those of inputs
template <int Pe, int Simd, int Folds, int Count, int Length, class Index, class Code>
struct Book {
  static_assert(Simd % Length == 0 || Length % Simd == 0, "words and lanes must fit");
  static constexpr int parts = Length > Simd ? Length / Simd : 1; // folds that share an index
  static constexpr int words = Length > Simd ? 1 : Simd / Length; // indices of a fold
  static_assert(Folds % parts == 0, "words end with folds");
  /// Of each fold word by word, of all processing elements.
  Index indices[Folds / parts][words * Pe];
  Code codes[Count][Length];
};

/// The folded unit reads a code at a time: element `simd * Pe + pe` is that of a lane.
template <int Pe, int Simd, int Folds, int Count, int Length, class Index, class Code, int Bits>
struct Layout<Book<Pe, Simd, Folds, Count, Length, Index, Code>, Bits, Pe, Simd, Folds> {
  using Words = Book<Pe, Simd, Folds, Count, Length, Index, Code>;
  static constexpr int codes_per_word = 1;
  static constexpr int parts = Simd;

  static void bind(const Words& weights) {
#pragma HLS INLINE
#pragma HLS ARRAY_RESHAPE variable = weights.indices type = complete dim = 2
#pragma HLS ARRAY_RESHAPE variable = weights.codes type = complete dim = 2
    static_cast<void>(weights);
  }

  static Code word(const Words& weights, int fold, int place) {
#pragma HLS INLINE
    const int lane = place / Pe;
    const int block = Words::parts > 1 ? 0 : lane / Length;
    const int first = Words::parts > 1 ? fold % Words::parts * Simd : -block * Length;
    const Index index = weights.indices[fold / Words::parts][block * Pe + place % Pe];
    return weights.codes[index][first + lane];
  }
};

} // namespace vecq
