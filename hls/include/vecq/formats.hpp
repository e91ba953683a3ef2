// SPDX-License-Identifier: Apache-2.0
// Integer formats, and the one place where C++ integers are cut to a width.
#pragma once

#ifndef AP_INT_MAX_W
#define AP_INT_MAX_W 4096 // the widest AXI4-Stream word; the vendor's default is 1024
#endif
#include <ap_int.h>

#include <cstdint>
#include <type_traits>

namespace vecq {

/// Least integer of `bits` bits.
constexpr std::int64_t least(int bits, bool is_signed) {
  return is_signed ? -(std::int64_t{1} << (bits - 1)) : 0;
}

/// Greatest integer of `bits` bits.
constexpr std::int64_t greatest(int bits, bool is_signed) {
  // One bit fewer at a time: 2^63 itself would overflow.
  const std::int64_t half = std::int64_t{1} << (bits - 1);
  return is_signed ? half - 1 : half - 1 + half;
}

/// The narrowest unsigned integer of at least `Bits` bits, for sums modulo a power of two: they
/// wrap without undefined behaviour.
template <int Bits>
using Modular = std::conditional_t<(Bits <= 16), std::uint16_t,
                                   std::conditional_t<(Bits <= 32), std::uint32_t, std::uint64_t>>;

/// The integers lo..hi, stored in `bits` bits, two's complement where signed.
template <int Bits, bool Signed, std::int64_t Lo = least(Bits, Signed),
          std::int64_t Hi = greatest(Bits, Signed)>
struct IntFormat {
  static_assert(1 <= Bits && Bits <= 63, "an integer format has 1 to 63 bits");
  static_assert(least(Bits, Signed) <= Lo && Lo <= Hi && Hi <= greatest(Bits, Signed),
                "the range does not lie within the bits");
  static constexpr int bits = Bits;
  static constexpr bool is_signed = Signed;
  static constexpr std::int64_t lo = Lo;
  static constexpr std::int64_t hi = Hi;

  /// What is stored in streams and memories.
  using Element = std::conditional_t<Signed, ap_int<Bits>, ap_uint<Bits>>;
  /// A plain integer that holds every value.
  using Value = std::conditional_t<(Bits + (Signed ? 0 : 1) <= 32), std::int32_t, std::int64_t>;
  /// At least as wide as the format, so that its low bits are those of the exact sum.
  using Sum = Modular<(Bits > 32 ? 64 : 32)>;
};

/// The low `Bits` bits of `x`, read as two's complement (in hardware: a choice of wires).
template <int Bits, class Sum>
constexpr std::make_signed_t<Sum> wrap(Sum x) {
  static_assert(std::is_unsigned<Sum>::value, "wrap takes a sum modulo a power of two");
  constexpr int width = 8 * static_cast<int>(sizeof(Sum));
  static_assert(1 <= Bits && Bits <= width, "a sum cannot be cut to more bits than it has");
  constexpr int spare = width - Bits;
  return static_cast<std::make_signed_t<Sum>>(static_cast<Sum>(x << spare)) >> spare;
}

} // namespace vecq
