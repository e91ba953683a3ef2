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
      const std::conditional_t<Frame::Format::is_signed, ap_int<slot>, ap_uint<slot>> whole = code;
      elements[next++] = static_cast<std::int64_t>(whole);
    }
  }
  return -1;
}

/// Runs `top` on every line of `inputs.txt` in the folder `vectors`, writes what it computes to
/// the file `computed`, and compares with `outputs.txt`.
///
/// Prints the first differences with vector, element, expected and actual.
template <class Input, class Output>
TestResult testbench(void (*top)(hls::stream<typename Input::Word>&,
                                 hls::stream<typename Output::Word>&),
                     const std::string& vectors, const std::string& computed) {
  std::ifstream inputs(vectors + "/inputs.txt");
  std::ifstream outputs(vectors + "/outputs.txt");
  std::ofstream results(computed);
  if (!inputs || !outputs || !results) {
    std::fprintf(stderr, "cannot open %s/inputs.txt, %s/outputs.txt or %s\n", vectors.c_str(),
                 vectors.c_str(), computed.c_str());
    return not_finished;
  }
  hls::stream<typename Input::Word> s_axis("s_axis");
  hls::stream<typename Output::Word> m_axis("m_axis");
  std::vector<std::int64_t> x(Input::elements), expected(Output::elements), actual(expected);
  std::string line;
  long long vector = 0, differences = 0;
  StreamWarnings warnings;
  for (; inputs.peek() != std::ifstream::traits_type::eof(); ++vector) {
    if (!read_line(inputs, line, x) || !read_line(outputs, line, expected)) {
      std::fprintf(stderr, "vector %lld: %d inputs and %d outputs are wanted\n", vector,
                   Input::elements, Output::elements);
      return not_finished;
    }
    for (const std::int64_t element : x) {
      if (element < Input::Format::lo || element > Input::Format::hi) {
        std::fprintf(stderr, "vector %lld: the input %lld leaves its format\n", vector,
                     static_cast<long long>(element));
        return not_finished;
      }
    }
    send<Input>(x, s_axis);
    top(s_axis, m_axis);
    if (warnings.any()) {
      std::fprintf(stderr, "vector %lld: %s\n", vector, warnings.first().c_str());
      return not_finished;
    }
    if (!s_axis.empty() || m_axis.size() != static_cast<std::size_t>(Output::words)) {
      std::fprintf(stderr, "vector %lld: %d words left on s_axis, %d of %d words on m_axis\n",
                   vector, static_cast<int>(s_axis.size()), static_cast<int>(m_axis.size()),
                   Output::words);
      return not_finished;
    }
    const int wrong = receive<Output>(m_axis, actual);
    if (wrong >= 0) {
      std::fprintf(stderr, "vector %lld: TLAST or TKEEP is wrong on word %d\n", vector, wrong);
      return not_finished;
    }
    write_line(results, line, actual);
    for (std::size_t index = 0; index < actual.size(); ++index) {
      if (actual[index] != expected[index] && ++differences <= 10) {
        std::fprintf(stderr, "vector %lld, element %d: expected %lld, actual %lld\n", vector,
                     static_cast<int>(index), static_cast<long long>(expected[index]),
                     static_cast<long long>(actual[index]));
      }
    }
  }
  results.close();
  if (!results || vector == 0) {
    std::fprintf(stderr, vector == 0 ? "there are no vectors\n" : "cannot write the outputs\n");
    return not_finished;
  }
  std::fprintf(stderr, "%lld vectors, %lld outputs, %lld differences\n", vector,
               vector * Output::elements, differences);
  return differences == 0 ? all_equal : some_differ;
}

} // namespace vecq
