// SPDX-License-Identifier: Apache-2.0
// The words of a frame in a static order: some not, some several times, a code in between.
#pragma once

#include "vecq/stream.hpp"

namespace vecq {

/// How much further the next word that is read lies, and the first word that is kept.
struct Move {
  int read, kept;
};

/// A counter of `Size` places, each of which is left by the same move.
template <int Size, int Read, int Kept>
struct EvenAxis {
  static_assert(Size >= 1, "an axis has at least one place");
  static constexpr int size = Size;
  static bool fills(int /*place*/) { return false; }
  static bool ends(int place) { return place == Size - 1; }
  static Move move(int /*place*/) { return {Read, Kept}; }
};

/// A counter whose places `Table` lists: its `size`, and arrays `fills` (whether the code is
/// given), `ends` (whether nothing is read at a later place), `read` and `kept`.
template <class Table>
struct ListedAxis {
  static constexpr int size = Table::size;
  static bool fills(int place) { return Table::fills[place]; }
  static bool ends(int place) { return Table::ends[place]; }
  static Move move(int place) { return {Table::read[place], Table::kept[place]}; }
};

/// Nested counters, the outermost first.
template <class... Axes>
class Places {
public:
  bool fills() const { return false; }
  bool move(Move& /*result*/) const { return false; }
  bool advance() { return false; }
};

template <class Outer, class... Inner>
class Places<Outer, Inner...> {
public:
  /// Whether the code is given here.
  bool fills() const { return Outer::fills(place_) || inner_.fills(); }

  /// What a read here changes: the move of the innermost counter that is not past its last read.
  /// False where no read is left.
  bool move(Move& result) const {
    if (inner_.move(result)) {
      return true;
    }
    if (Outer::ends(place_)) {
      return false;
    }
    result = Outer::move(place_);
    return true;
  }

  /// On to the next place; false where it is the first one again.
  bool advance() {
    if (inner_.advance()) {
      return true;
    }
    place_ = place_ == Outer::size - 1 ? 0 : place_ + 1;
    return place_ != 0;
  }

private:
  int place_ = 0;
  Places<Inner...> inner_;
};

/// The order of the `Words` words of a frame: which is read first, which is kept first, and the
/// axes.  At most `Slots` words, a power of two, are kept.
template <int Words, int Slots, int First, int Kept, class... Axes>
struct Order {
  static_assert(Slots >= 2 && (Slots & (Slots - 1)) == 0, "the slots are a power of two");
  static_assert(0 <= Kept && Kept <= First && First < Words, "the first word is one of the frame");
  static constexpr int words = Words, slots = Slots, first = First, kept = Kept;
  static constexpr int steps = (Axes::size * ... * 1);
  using Counters = Places<Axes...>;
};

/// The last words that came lie in registers: memory takes its time to be read and written.
constexpr int recent_words = 4;

/// A frame in the order `WordOrder`, with `Code` where nothing is read.
///
/// In each turn a word is written, if it is there, and one is read, if there is room for it.
template <class In, class Out, class WordOrder, std::int64_t Code, int LaneCount>
void reorder(Stream<In, LaneCount>& in, Stream<Out, LaneCount>& out) {
  static_assert(In::bits == Out::bits && In::is_signed == Out::is_signed,
                "an order changes no integer");
  Lanes<In, LaneCount> memory[WordOrder::slots];
#pragma HLS AGGREGATE variable = memory compact = bit
#pragma HLS DEPENDENCE variable = memory type = inter direction = RAW distance =                   \
    recent_words dependent = true
  Lanes<In, LaneCount> recent[recent_words]; // the newest one first
#pragma HLS ARRAY_PARTITION variable = recent type = complete
  typename WordOrder::Counters places;
  int next = WordOrder::first, kept = WordOrder::kept;
turns:
  for (int came = 0, given = 0; came < WordOrder::words || given < WordOrder::steps;) {
#pragma HLS PIPELINE II = 1
    const bool fits = came < WordOrder::words && came < kept + WordOrder::slots;
    const bool fills = places.fills();
    if (given < WordOrder::steps && (fills || next < came)) {
      const int age = came - 1 - next;
      const Lanes<In, LaneCount> old = memory[next % WordOrder::slots];
      Lanes<Out, LaneCount> y;
    lanes:
      for (int lane = 0; lane < LaneCount; ++lane) {
#pragma HLS UNROLL
        if (fills) {
          y.lane[lane] = Code;
        } else {
          y.lane[lane] = age < recent_words ? recent[age].lane[lane] : old.lane[lane];
        }
      }
      out.write(y);
      if (!fills) {
        Move move = {0, WordOrder::words - kept}; // of the last read: nothing is kept
        places.move(move);
        next += move.read;
        kept += move.kept;
      }
      places.advance();
      ++given;
    }
    if (fits) {
      const Lanes<In, LaneCount> x = in.read();
      memory[came % WordOrder::slots] = x;
    shift:
      for (int place = recent_words - 1; place > 0; --place) {
#pragma HLS UNROLL
        recent[place] = recent[place - 1];
      }
      recent[0] = x;
      ++came;
    }
  }
}

} // namespace vecq
