// SPDX-License-Identifier: Apache-2.0
// Drives a top with vectors from a file and compares what it computes; not for synthesis.
#pragma once

#include "vecq/axis.hpp"

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

namespace vecq {

/// What a testbench returns, as the exit status of a program.
enum TestResult : std::uint8_t { all_equal = 0, some_differ = 1, not_finished = 2 };

/// Holds back what is printed to std::cout: hls::stream reports a starved or a clogged stream
/// there, and nowhere else.
class StreamWarnings {
public:
  StreamWarnings() : before(std::cout.rdbuf(captured.rdbuf())) {}
  ~StreamWarnings() { std::cout.rdbuf(before); }
  StreamWarnings(const StreamWarnings&) = delete;
  StreamWarnings& operator=(const StreamWarnings&) = delete;

  /// The first line printed since construction; empty if there is none.
  std::string first() const {
    std::istringstream lines(captured.str());
    std::string line;
    std::getline(lines, line);
    return line;
  }
  bool any() { return captured.tellp() > 0; }

private:
  std::ostringstream captured;
  std::streambuf* before;
};

/// One integer for each element of a line; false if there are more, fewer or others.
inline bool read_line(std::istream& file, std::string& line, std::vector<std::int64_t>& elements) {
  if (!std::getline(file, line)) {
    return false;
  }
  const char* next = line.data();
  const char* const end = next + line.size();
  const auto skip_blanks = [&next, end] {
    while (next != end && (*next == ' ' || *next == '\t' || *next == '\r')) {
      ++next;
    }
  };
  for (std::int64_t& element : elements) {
    skip_blanks();
    const std::from_chars_result read = std::from_chars(next, end, element);
    if (read.ec != std::errc()) {
      return false;
    }
    next = read.ptr;
  }
  skip_blanks();
  return next == end;
}

/// The integers between blanks, on a line.
inline void write_line(std::ostream& file, std::string& line,
                       const std::vector<std::int64_t>& elements) {
  constexpr std::size_t longest = 21; // a sign, 19 digits, a blank
  line.resize(longest * elements.size());
  char* next = line.data();
  for (const std::int64_t element : elements) {
    next = std::to_chars(next, next + longest, element).ptr;
    *next++ = ' ';
  }
  next[-1] = '\n';
  file.write(line.data(), next - line.data());
}

/// Gives a frame, element by element, to a stream in words.
template <class Frame>
void send(const std::vector<std::int64_t>& elements, hls::stream<typename Frame::Word>& stream) {
  constexpr int slot = Frame::slot;
  std::size_t next = 0;
  for (int word = 0; word < Frame::words; ++word) {
    typename Frame::Word packed;
    packed.data = 0;
    for (int lane = 0; lane < Frame::lanes && next < elements.size(); ++lane) {
      packed.data.range((lane + 1) * slot - 1, lane * slot) = ap_uint<slot>(elements[next++]);
    }
    packed.last = word == Frame::words - 1 ? 1 : 0;
    if constexpr (Frame::keep) {
      packed.keep = Frame::kept(word);
    }
    stream.write(packed);
  }
}

/// Takes a frame from a stream; returns the first word whose TLAST or TKEEP is wrong, -1 if none
/// is.
template <class Frame>
int receive(hls::stream<typename Frame::Word>& stream, std::vector<std::int64_t>& elements) {
  constexpr int slot = Frame::slot;
  std::size_t next = 0;
  for (int word = 0; word < Frame::words; ++word) {
    const typename Frame::Word packed = stream.read();
    if (packed.last != (word == Frame::words - 1 ? 1 : 0)) {
      return word;
    }
    if constexpr (Frame::keep) {
      if (packed.keep != Frame::kept(word)) {
        return word;
      }
    }
    for (int lane = 0; lane < Frame::lanes && next < elements.size(); ++lane) {
      // The whole slot: what is above the element continues it.
      const ap_uint<slot> code = packed.data.range((lane + 1) * slot - 1, lane * slot);
      const std::conditional_t<Frame::Format::is_signed, ap_int<slot>, ap_uint<slot>>& whole = code;
      elements[next++] = static_cast<std::int64_t>(whole);
    }
  }
  return -1;
}

/// `computed` with the suffix before its ".txt", or at its end.
inline std::string with_suffix(std::string computed, const std::string& suffix) {
  const std::size_t dot = computed.rfind(".txt");
  return computed.insert(dot == std::string::npos ? computed.size() : dot, suffix);
}

/// One input of a top: its stream, and the file of its frames, `inputs<suffix>.txt`.
template <class Frame>
struct InputEnd {
  InputEnd(const std::string& vectors, const std::string& suffix)
      : stream_name("s_axis" + suffix), path(vectors + "/inputs" + suffix + ".txt"), file(path),
        // Some streams take no other name. NOLINTNEXTLINE(readability-redundant-string-cstr)
        stream(stream_name.c_str()), elements(Frame::elements) {}

  bool opened() const { return static_cast<bool>(file); }
  bool left() { return file.peek() != std::ifstream::traits_type::eof(); }

  /// Reads a frame and sends it; false, with a message, if there is none that fits.
  bool next(long long vector, std::string& line) {
    if (!read_line(file, line, elements)) {
      std::fprintf(stderr, "vector %lld: %d integers are wanted in %s\n", vector, Frame::elements,
                   path.c_str());
      return false;
    }
    for (const std::int64_t element : elements) {
      if (element < Frame::Format::lo || element > Frame::Format::hi) {
        std::fprintf(stderr, "vector %lld: the input %lld leaves its format\n", vector,
                     static_cast<long long>(element));
        return false;
      }
    }
    send<Frame>(elements, stream);
    return true;
  }

  /// Whether all words were taken; else a message.
  bool drained(long long vector) {
    if (!stream.empty()) {
      std::fprintf(stderr, "vector %lld: %d words left on %s\n", vector,
                   static_cast<int>(stream.size()), stream_name.c_str());
    }
    return stream.empty();
  }

  std::string stream_name;
  std::string path;
  std::ifstream file;
  hls::stream<typename Frame::Word> stream;
  std::vector<std::int64_t> elements;
};

/// One output of a top: its stream, the file of the frames that are expected,
/// `outputs<suffix>.txt`, and the file that takes those that are computed: `computed` with the
/// suffix before ".txt".
template <class Frame>
struct OutputEnd {
  OutputEnd(const std::string& vectors, const std::string& computed, const std::string& suffix)
      : name("m_axis" + suffix), path(vectors + "/outputs" + suffix + ".txt"),
        results_path(with_suffix(computed, suffix)), file(path), results(results_path),
        stream(name.c_str()), // NOLINT(readability-redundant-string-cstr)
        expected(Frame::elements), actual(expected), where(suffix.empty() ? "" : name + ", ") {}

  bool opened() const { return file && results; }

  /// Reads the frame that is expected; false, with a message, if there is none that fits.
  bool next(long long vector, std::string& line) {
    if (!read_line(file, line, expected)) {
      std::fprintf(stderr, "vector %lld: %d integers are wanted in %s\n", vector, Frame::elements,
                   path.c_str());
      return false;
    }
    return true;
  }

  /// Takes the frame that was computed, writes it down and compares; false, with a message, if it
  /// is no whole frame.
  bool taken(long long vector, std::string& line) {
    if (stream.size() != static_cast<std::size_t>(Frame::words)) {
      std::fprintf(stderr, "vector %lld: %d of %d words on %s\n", vector,
                   static_cast<int>(stream.size()), Frame::words, name.c_str());
      return false;
    }
    const int wrong = receive<Frame>(stream, actual);
    if (wrong >= 0) {
      std::fprintf(stderr, "vector %lld: TLAST or TKEEP is wrong on word %d\n", vector, wrong);
      return false;
    }
    write_line(results, line, actual);
    for (std::size_t index = 0; index < actual.size(); ++index) {
      if (actual[index] != expected[index] && ++differences <= 10) {
        std::fprintf(stderr, "%svector %lld, element %d: expected %lld, actual %lld\n",
                     where.c_str(), vector, static_cast<int>(index),
                     static_cast<long long>(expected[index]),
                     static_cast<long long>(actual[index]));
      }
    }
    return true;
  }

  std::string name;
  std::string path;
  std::string results_path;
  std::ifstream file;
  std::ofstream results;
  hls::stream<typename Frame::Word> stream;
  std::vector<std::int64_t> expected;
  std::vector<std::int64_t> actual;
  std::string where;
  long long differences = 0;
};

/// Runs `top` on every frame of the inputs' files, writes what it computes, and compares.
///
/// Prints the first differences with vector, element, expected and actual.
template <class Top, class... Inputs, class... Outputs>
TestResult testbench(Top top, std::tuple<InputEnd<Inputs>&...> inputs,
                     std::tuple<OutputEnd<Outputs>&...> outputs) {
  const bool opened = std::apply([](auto&... ends) { return (ends.opened() && ...); }, inputs) &&
                      std::apply([](auto&... ends) { return (ends.opened() && ...); }, outputs);
  if (!opened) {
    std::apply(
        [](auto&... ends) { (std::fprintf(stderr, "cannot open %s\n", ends.path.c_str()), ...); },
        inputs);
    std::apply(
        [](auto&... ends) {
          (std::fprintf(stderr, "cannot open %s or %s\n", ends.path.c_str(),
                        ends.results_path.c_str()),
           ...);
        },
        outputs);
    return not_finished;
  }
  const auto all = std::tuple_cat(inputs, outputs);
  std::string line;
  long long vector = 0;
  StreamWarnings warnings;
  for (; std::get<0>(inputs).left(); ++vector) {
    if (!std::apply([&](auto&... ends) { return (ends.next(vector, line) && ...); }, all)) {
      return not_finished;
    }
    std::apply([&](auto&... ends) { top(ends.stream...); }, all);
    if (warnings.any()) {
      std::fprintf(stderr, "vector %lld: %s\n", vector, warnings.first().c_str());
      return not_finished;
    }
    if (!std::apply([&](auto&... ends) { return (ends.drained(vector) && ...); }, inputs) ||
        !std::apply([&](auto&... ends) { return (ends.taken(vector, line) && ...); }, outputs)) {
      return not_finished;
    }
  }
  const bool written = std::apply(
      [](auto&... ends) {
        return ((ends.results.close(), static_cast<bool>(ends.results)) && ...);
      },
      outputs);
  if (!written || vector == 0) {
    std::fprintf(stderr, vector == 0 ? "there are no vectors\n" : "cannot write the outputs\n");
    return not_finished;
  }
  const long long differences =
      std::apply([](auto&... ends) { return (ends.differences + ...); }, outputs);
  std::fprintf(stderr, "%lld vectors, %lld outputs, %lld differences\n", vector,
               vector * (Outputs::elements + ...), differences);
  return differences == 0 ? all_equal : some_differ;
}

/// The same for one input and one output, of `inputs.txt` and `outputs.txt` in the folder
/// `vectors`.
template <class Input, class Output>
TestResult testbench(void (*top)(hls::stream<typename Input::Word>&,
                                 hls::stream<typename Output::Word>&),
                     const std::string& vectors, const std::string& computed) {
  InputEnd<Input> input(vectors, "");
  OutputEnd<Output> output(vectors, computed, "");
  return testbench(top, std::tie(input), std::tie(output));
}

} // namespace vecq
