// SPDX-License-Identifier: Apache-2.0
// Recurrent layers: the product of the state that they keep, and the rules of their gates.
#pragma once

#include "vecq/gates.hpp"
#include "vecq/matrix_vector.hpp"
#include "vecq/rescale.hpp"

namespace vecq {

/// What stands for a recurrent layer: gates per element, elements, steps of a frame, whether the
/// state of each of them goes out, the folds of its product, and the shift of its gates.
template <int Gates, int Elements, int Length, bool Sequence, int Pe, int Simd, int Shift>
struct Recurrence {
  static constexpr int gates = Gates;
  static constexpr int elements = Elements;
  static constexpr int outputs = Gates * Elements;
  static constexpr int length = Length;
  static constexpr bool sequence = Sequence;
  static constexpr int pe = Pe;
  static constexpr int simd = Simd;
  static constexpr int shift = Shift;
  static constexpr int words = outputs / pe;
};

namespace detail {

/// The gates' sums over the state, which is zeros in the first step of a frame.
template <class State, class Sum, class Weight, class Shape, class Words, class Element>
void state_product(bool first, const Element (&state)[Shape::elements], Stream<Sum, 1>& sums,
                   const Words& weights) {
#pragma HLS INLINE
  constexpr int folds = Shape::elements / Shape::simd;
  static const std::int8_t zeros[Shape::outputs] = {};
  Stream<State, Shape::simd> given("state_product_given");
#pragma HLS STREAM variable = given depth = folds
  Stream<Sum, Shape::pe> made("state_product_made");
#pragma HLS STREAM variable = made depth = Shape::words
give:
  for (int fold = 0; fold < folds; ++fold) {
#pragma HLS PIPELINE II = 1
    Lanes<State, Shape::simd> x;
  lanes:
    for (int lane = 0; lane < Shape::simd; ++lane) {
#pragma HLS UNROLL
      x.lane[lane] = first ? Element(0) : state[fold * Shape::simd + lane];
    }
    given.write(x);
  }
  matrix_vector<State, Sum, Weight, 1, Shape::elements,
                Grouping<Shape::elements, Shape::outputs, 1, Shape::pe, Shape::simd>>(
      given, made, weights, zeros);
  resize_lanes<Sum, Shape::pe, 1, Shape::outputs>(made, sums);
}

/// The value of a gate's code.
constexpr std::int32_t sigmoid(GateCode::Value code) {
  return sigmoid_table[code + 128];
}
constexpr std::int32_t tanh(GateCode::Value code) {
  return tanh_table[code + 128];
}

} // namespace detail

/// A long short-term memory over `Shape::length` steps of gate sums: i, f, g, o of each element.
///
/// @tparam Sum  format of the product's sums
template <class In, class State, class Sum, class Weight, class Shape, class Words, class MantissaX,
          class MantissaH, class Offset>
void lstm(Stream<In, 1>& in, Stream<State, 1>& out, const Words& weights,
          const MantissaX (&mantissa_x)[Shape::outputs],
          const MantissaH (&mantissa_h)[Shape::outputs], const Offset (&offset)[Shape::outputs]) {
  static_assert(Shape::gates == 4, "an LSTM has four gates");
  typename State::Element state[Shape::elements];
#pragma HLS ARRAY_PARTITION variable = state type = cyclic factor = Shape::simd
  WideState::Element cells[Shape::elements];
  Stream<Sum, 1> sums("lstm_sums");
#pragma HLS STREAM variable = sums depth = Shape::outputs
steps:
  for (int step = 0; step < Shape::length; ++step) {
    detail::state_product<State, Sum, Weight, Shape>(step == 0, state, sums, weights);
    std::int32_t values[Shape::gates] = {};
#pragma HLS ARRAY_PARTITION variable = values type = complete
  gates:
    for (int place = 0; place < Shape::outputs; ++place) {
#pragma HLS PIPELINE II = 1
      const int gate = place % Shape::gates, element = place / Shape::gates;
#pragma HLS DEPENDENCE variable = cells type = inter dependent = false // once a step
      const std::int64_t given = static_cast<typename In::Value>(in.read().lane[0]);
      const std::int64_t own = static_cast<typename Sum::Value>(sums.read().lane[0]);
      const GateCode::Value code =
          rescale_value<GateCode>(given, static_cast<std::int64_t>(mantissa_x[place]),
                                  own * static_cast<std::int64_t>(mantissa_h[place]) +
                                      static_cast<std::int64_t>(offset[place]),
                                  Shape::shift);
      values[gate] = gate == 2 ? detail::tanh(code) : detail::sigmoid(code);
      if (gate == Shape::gates - 1) {
        const WideState::Value before =
            step == 0 ? 0 : static_cast<WideState::Value>(cells[element]);
        const WideState::Value cell = rescale_value<WideState>(
            values[1], before, static_cast<std::int64_t>(values[0]) * values[2] * 16, 8);
        const GateCode::Value near = rescale_value<GateCode>(cell, 1, 0, 7);
        Lanes<State, 1> y;
        y.lane[0] = rescale_value<State>(values[3], detail::tanh(near), 0, 8);
        cells[element] = cell;
        state[element] = y.lane[0];
        if (Shape::sequence || step == Shape::length - 1) {
          out.write(y);
        }
      }
    }
  }
}

/// A gated recurrent unit over `Shape::length` steps of gate sums: r, z, n of each element.
///
/// @tparam Sum  format of the product's sums
template <class In, class State, class Sum, class Weight, class Shape, class Words, class MantissaX,
          class MantissaH, class Offset, class PartOffset>
void gru(Stream<In, 1>& in, Stream<State, 1>& out, const Words& weights,
         const MantissaX (&mantissa_x)[Shape::outputs],
         const MantissaH (&mantissa_h)[Shape::outputs], const Offset (&offset)[Shape::outputs],
         const PartOffset (&part_offset)[Shape::elements]) {
  static_assert(Shape::gates == 3, "a GRU has three gates");
  static_assert(15 <= Shape::shift && Shape::shift <= 62, "the shift of a GRU is 15 to 62");
  typename State::Element state[Shape::elements];
#pragma HLS ARRAY_PARTITION variable = state type = cyclic factor = Shape::simd
  WideState::Element wide[Shape::elements];
  Stream<Sum, 1> sums("gru_sums");
#pragma HLS STREAM variable = sums depth = Shape::outputs
steps:
  for (int step = 0; step < Shape::length; ++step) {
    detail::state_product<State, Sum, Weight, Shape>(step == 0, state, sums, weights);
    std::int32_t reset = 0;
    std::int32_t update = 0;
  gates:
    for (int place = 0; place < Shape::outputs; ++place) {
#pragma HLS PIPELINE II = 1
      const int gate = place % Shape::gates, element = place / Shape::gates;
#pragma HLS DEPENDENCE variable = wide type = inter dependent = false // once a step
      const std::int64_t given = static_cast<typename In::Value>(in.read().lane[0]);
      const std::int64_t own = static_cast<typename Sum::Value>(sums.read().lane[0]);
      const std::int64_t mantissa = static_cast<std::int64_t>(mantissa_h[place]);
      const bool candidate = gate == Shape::gates - 1;
      const std::int64_t factor = static_cast<std::int64_t>(mantissa_x[place]);
      const std::int64_t addend = static_cast<std::int64_t>(offset[place]);
      // Apart from the candidate's, so that no gate waits for the one before it.
      const std::int32_t value = detail::sigmoid(rescale_value<GateCode>(
          given, factor, (candidate ? 0 : own * mantissa) + addend, Shape::shift));
      if (gate == 0) {
        reset = value;
      }
      if (gate == 1) {
        update = value;
      }
      if (candidate) {
        const WideState::Value part = rescale_value<WideState>(
            own, mantissa, static_cast<std::int64_t>(part_offset[element]), Shape::shift - 7);
        const std::int64_t unit = std::int64_t{1} << (Shape::shift - 15);
        const GateCode::Value code =
            rescale_value<GateCode>(given, factor, unit * reset * part + addend, Shape::shift);
        const WideState::Value before =
            step == 0 ? 0 : static_cast<WideState::Value>(wide[element]);
        const WideState::Value after = rescale_value<WideState>(
            update, before, static_cast<std::int64_t>(256 - update) * detail::tanh(code) * 256, 8);
        Lanes<State, 1> y;
        y.lane[0] = rescale_value<State>(after, 1, 0, 8);
        wide[element] = after;
        state[element] = y.lane[0];
        if (Shape::sequence || step == Shape::length - 1) {
          out.write(y);
        }
      }
    }
  }
}

} // namespace vecq
