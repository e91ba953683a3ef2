// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vecq/stream.hpp"

namespace vecq {

/// `clamp((accumulator * mantissa + offset + 2^(shift-1)) >> shift, lo, hi)`: rounding half up.
///
/// A shift is 1 to 62.  The total must lie in -2^62 .. 2^62 over the proven range of the
/// accumulator.
template <class Out>
constexpr typename Out::Value rescale_value(std::int64_t accumulator, std::int64_t mantissa,
                                            std::int64_t offset, int shift) {
  const std::int64_t half = std::int64_t{1} << (shift - 1);
  const std::int64_t rounded = (accumulator * mantissa + offset + half) >> shift;
  return static_cast<typename Out::Value>(rounded < Out::lo   ? Out::lo
                                          : rounded > Out::hi ? Out::hi
                                                              : rounded);
}

namespace detail {

/// The shift of every channel; as it is known, it costs no logic.
template <int Shift>
struct OneShift {
  static_assert(1 <= Shift && Shift <= 62, "a shift is 1 to 62");
  constexpr int operator[](int /*channel*/) const { return Shift; }
};

/// The class of every position where there is but one.
struct OneClass {
  constexpr int operator[](int /*position*/) const { return 0; }
};

template <class In, class Out, int Positions, int Channels, int LaneCount, int MantissaBits,
          int Lines, class Mantissa, class Offset, class Shifts, class Rows>
void rescale(Stream<In, LaneCount>& in, Stream<Out, LaneCount>& out,
             const Mantissa (&mantissa)[Lines], const Offset (&offset)[Lines], const Shifts& shift,
             const Rows& rows) {
#pragma HLS INLINE
  static_assert(Channels % LaneCount == 0, "lanes must divide the channels");
  static_assert(Lines % Channels == 0, "each class has a line for each channel");
#pragma HLS ARRAY_PARTITION variable = mantissa type = cyclic factor = LaneCount
#pragma HLS ARRAY_PARTITION variable = offset type = cyclic factor = LaneCount
positions:
  for (int position = 0; position < Positions; ++position) {
  folds:
    for (int fold = 0; fold < Channels / LaneCount; ++fold) {
#pragma HLS PIPELINE II = 1
      const Lanes<In, LaneCount> x = in.read();
      Lanes<Out, LaneCount> y;
    lanes:
      for (int lane = 0; lane < LaneCount; ++lane) {
#pragma HLS UNROLL
        const int channel = fold * LaneCount + lane;
        const int line = static_cast<int>(rows[position]) * Channels + channel;
        // The multiplier is as wide as its operands are known to be.
        const std::int64_t narrow = wrap<MantissaBits>(
            static_cast<std::uint64_t>(static_cast<std::int64_t>(mantissa[line])));
        y.lane[lane] = rescale_value<Out>(static_cast<typename In::Value>(x.lane[lane]), narrow,
                                          static_cast<std::int64_t>(offset[line]), shift[channel]);
      }
      out.write(y);
    }
  }
}

} // namespace detail

/// Rescales `Positions` vectors of `Channels` accumulators, `LaneCount` of them a cycle.
template <class In, class Out, int Positions, int Channels, int LaneCount, int Shift,
          int MantissaBits, class Mantissa, class Offset>
void rescale(Stream<In, LaneCount>& in, Stream<Out, LaneCount>& out,
             const Mantissa (&mantissa)[Channels], const Offset (&offset)[Channels]) {
  detail::rescale<In, Out, Positions, Channels, LaneCount, MantissaBits>(
      in, out, mantissa, offset, detail::OneShift<Shift>{}, detail::OneClass{});
}

/// The same with a shift for each channel.
template <class In, class Out, int Positions, int Channels, int LaneCount, int MantissaBits,
          class Mantissa, class Offset, class Shift>
void rescale(Stream<In, LaneCount>& in, Stream<Out, LaneCount>& out,
             const Mantissa (&mantissa)[Channels], const Offset (&offset)[Channels],
             const Shift (&shift)[Channels]) {
#pragma HLS ARRAY_PARTITION variable = shift type = cyclic factor = LaneCount
  detail::rescale<In, Out, Positions, Channels, LaneCount, MantissaBits>(in, out, mantissa, offset,
                                                                         shift, detail::OneClass{});
}

/// The same with a class for each position: `mantissa` and `offset` hold `Channels` lines for the
/// first class, then those for the second, and so on.
template <class In, class Out, int Positions, int Channels, int LaneCount, int Shift,
          int MantissaBits, int Lines, class Mantissa, class Offset, class Row>
void rescale_rows(Stream<In, LaneCount>& in, Stream<Out, LaneCount>& out,
                  const Mantissa (&mantissa)[Lines], const Offset (&offset)[Lines],
                  const Row (&rows)[Positions]) {
  detail::rescale<In, Out, Positions, Channels, LaneCount, MantissaBits>(
      in, out, mantissa, offset, detail::OneShift<Shift>{}, rows);
}

/// The same with a shift for each channel.
template <class In, class Out, int Positions, int Channels, int LaneCount, int MantissaBits,
          int Lines, class Mantissa, class Offset, class Shift, class Row>
void rescale_rows(Stream<In, LaneCount>& in, Stream<Out, LaneCount>& out,
                  const Mantissa (&mantissa)[Lines], const Offset (&offset)[Lines],
                  const Shift (&shift)[Channels], const Row (&rows)[Positions]) {
#pragma HLS ARRAY_PARTITION variable = shift type = cyclic factor = LaneCount
  detail::rescale<In, Out, Positions, Channels, LaneCount, MantissaBits>(in, out, mantissa, offset,
                                                                         shift, rows);
}

} // namespace vecq
