// SPDX-License-Identifier: Apache-2.0
// The integer rules of the headers against plain arithmetic on wider integers.
#include "vecq/axis.hpp"
#include "vecq/conv2d.hpp"
#include "vecq/dense.hpp"
#include "vecq/max_pool2d.hpp"
#include "vecq/rescale.hpp"

#include <cstdio>
#include <cstdlib>

__extension__ using Wide = __int128;

static void check(bool holds, const char* what, std::int64_t a, std::int64_t b) {
  if (!holds) {
    std::printf("%s fails for %lld, %lld\n", what, static_cast<long long>(a),
                static_cast<long long>(b));
    std::exit(1);
  }
}

static std::int64_t random_integer() {
  static std::uint64_t state = 1;
  state = state * 6364136223846793005U + 1442695040888963407U;
  return static_cast<std::int64_t>(state) >> (state >> 58); // all magnitudes
}

template <class Weight>
static void check_product(std::int32_t code, std::int64_t value) {
  for (int repeat = 0; repeat < 4; ++repeat) {
    const std::int64_t x = random_integer();
    if constexpr (Weight::bits <= 16) {
      const auto x16 = static_cast<std::uint16_t>(x);
      check(Weight::product(static_cast<std::uint16_t>(code), x16) ==
                static_cast<std::uint16_t>(static_cast<std::uint64_t>(value) * x16),
            "16-bit product", value, x);
    }
    const auto x32 = static_cast<std::uint32_t>(x);
    const auto x64 = static_cast<std::uint64_t>(x);
    check(Weight::product(static_cast<std::uint32_t>(code), x32) ==
              static_cast<std::uint32_t>(value) * x32,
          "32-bit product", value, x);
    check(Weight::product(static_cast<std::uint64_t>(code), x64) ==
              static_cast<std::uint64_t>(value) * x64,
          "64-bit product", value, x);
  }
}

template <int WeightBits>
static void check_products() {
  for (std::int32_t code = -(1 << (WeightBits - 1)); code < 1 << (WeightBits - 1); ++code) {
    check_product<vecq::MidRise<WeightBits>>(code, 2 * std::int64_t{code} + 1);
    check_product<vecq::TwosComplement<WeightBits>>(code, code);
  }
  if constexpr (WeightBits < 16) {
    check_products<WeightBits + 1>();
  }
}

template <int Shift>
static void check_rescale() {
  using Out = vecq::IntFormat<8, true, -100, 90>;
  for (int repeat = 0; repeat < 200; ++repeat) {
    std::int64_t accumulator = random_integer() >> 32, mantissa = random_integer() >> 34;
    const std::int64_t offset = random_integer() >> 3;
    if (repeat % 4 == 0) { // ties: the total is an odd multiple of half a unit
      accumulator = 0;
    }
    const Wide total = Wide{accumulator} * mantissa + offset;
    const Wide unit = Wide{1} << Shift;
    // floor(total / unit + 1/2), from division that rounds toward zero
    const Wide twice = 2 * total + unit, divisor = 2 * unit;
    Wide expected = twice / divisor - (twice % divisor < 0 ? 1 : 0);
    expected = expected < -100 ? -100 : expected > 90 ? 90 : expected;
    check(vecq::rescale_value<Out>(accumulator, mantissa, offset, Shift) == expected, "rescale",
          accumulator, offset);
  }
  if constexpr (Shift < 62) {
    check_rescale<Shift + 1>();
  }
}

/// One output of `Simd` lanes, all codes and all inputs at one of their ends: no sum is larger.
template <class In, class Weight, int Simd, class Out = vecq::IntFormat<63, true>>
static void check_largest_sums(std::int64_t least_weight, std::int64_t greatest_weight) {
  using Layout = vecq::Packing<Weight::bits, 1, Simd>;
  const std::int8_t bias[1] = {0};
  for (const bool greatest : {false, true}) {
    const auto code = static_cast<std::uint32_t>(greatest ? (1 << (Weight::bits - 1)) - 1
                                                          : 1 << (Weight::bits - 1));
    typename Layout::Word weights[1][Layout::words] = {};
    for (int simd = 0; simd < Simd; ++simd) {
      typename Layout::Word& word = weights[0][simd / Layout::codes_per_word];
      word = static_cast<typename Layout::Word>(word | code << simd % Layout::codes_per_word *
                                                                   Weight::bits);
    }
    for (const std::int64_t x : {In::lo, In::hi}) {
      vecq::Stream<In, Simd> in("in");
      vecq::Stream<Out, 1> out("out");
      vecq::Lanes<In, Simd> word;
      for (auto& lane : word.lane) {
        lane = x;
      }
      in.write(word);
      vecq::dense<In, Out, Weight, Simd, 1, 1, Simd>(in, out, weights, bias);
      const std::int64_t sum = Simd * x * (greatest ? greatest_weight : least_weight);
      const std::int64_t kept = vecq::wrap<Out::bits>(static_cast<std::uint64_t>(sum));
      check(out.read().lane[0] == kept, "largest sum", sum, x);
    }
  }
}

template <class In, int Bits, int Simd>
static void check_both_grids() {
  constexpr std::int64_t half = std::int64_t{1} << (Bits - 1);
  check_largest_sums<In, vecq::MidRise<Bits>, Simd>(1 - 2 * half, 2 * half - 1);
  check_largest_sums<In, vecq::TwosComplement<Bits>, Simd>(-half, half - 1);
}

int main() {
  using Byte = vecq::IntFormat<8, false>;
  check_both_grids<Byte, 1, 64>();
  check_both_grids<Byte, 1, 130>();
  check_both_grids<Byte, 4, 8>(); // the last sum of 16 bits
  check_both_grids<Byte, 4, 9>();
  check_both_grids<Byte, 8, 3>();
  check_both_grids<vecq::IntFormat<8, true>, 4, 17>();
  check_both_grids<vecq::IntFormat<16, false>, 13, 5>(); // more than 32 bits
  // Accumulators that wrap, at fewer bits than a weight has.
  using Few = vecq::IntFormat<9, true>;
  check_largest_sums<Byte, vecq::MidRise<16>, 3, Few>(-0xffff, 0xffff);
  check_largest_sums<Byte, vecq::TwosComplement<20>, 3, Few>(-0x80000, 0x7ffff);
  check_products<1>();
  for (const std::int32_t extreme : {INT32_MIN, INT32_MIN + 1, -1, 0, 1, INT32_MAX}) {
    check_product<vecq::TwosComplement<32>>(extreme, extreme);
  }
  check_rescale<1>();
  using Out = vecq::IntFormat<8, true>;
  check(vecq::rescale_value<Out>(-6, 1, 0, 2) == -1, "tie", -6, 0);
  check(vecq::rescale_value<Out>(2, 1, 0, 2) == 1, "tie", 2, 0);
  check(vecq::wrap<4>(std::uint32_t{8}) == -8, "wrap", 8, 4);
  check(vecq::wrap<63>(std::uint64_t{1} << 62) == -(std::int64_t{1} << 62), "wrap", 62, 63);
  static_assert(vecq::IntFormat<63, false>::hi == INT64_MAX);
  static_assert(vecq::IntFormat<1, true>::lo == -1 && vecq::IntFormat<1, true>::hi == 0);
  static_assert(vecq::Packing<3, 4, 16>::codes_per_word == 5, "no code crosses words");
  static_assert(vecq::Packing<3, 4, 16>::words == 16);
  using Span = vecq::Grouping<2, 6, 2, 6, 2>; // six elements, three outputs in a group
  static_assert(Span::blocks == 1 && Span::block_groups == 2 && Span::lanes == 4);
  static_assert(Span::lane(3, 1) == 3, "the fourth output reads the second group");
  using Within = vecq::Grouping<4, 8, 2, 2, 2>;
  static_assert(Within::blocks == 2 && Within::block_outputs == 4 && Within::lanes == 2);
  static_assert(vecq::Frame<vecq::IntFormat<5, true>, 10, 5>::bits == 32, "whole bytes");
}
