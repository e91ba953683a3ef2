// SPDX-License-Identifier: Apache-2.0
// hls::stream as C simulation has it, for programs of many networks: they compile in half the time.
// test_streams.py compares it with the vendor's, which users and the targets of verify have.
#pragma once

#include "../queue.hpp"

#include <iostream>
#include <string>

namespace hls {

/// What is the same for all words.
class Named {
protected:
  Named() = default;
  explicit Named(const std::string& called) : name(called) {}
  void warn(const char* what) const {
    std::cout << "WARNING: Hls::stream '" << name << "' " << what
              << ", which may result in RTL simulation hanging." << std::endl;
  }

private:
  std::string name;
};

template <class Word>
class stream : Named {
public:
  stream() = default;
  explicit stream(const std::string& called) : Named(called) {}
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;
  ~stream() {
    if (!empty()) {
      warn("contains leftover data");
    }
  }

  std::size_t size() const { return words.size(); }
  bool empty() const { return words.empty(); }
  bool full() const { return false; }

  void write(const Word& word) { words.push(word); }
  Word read() {
    if (empty()) {
      warn("is read while empty");
      return Word();
    }
    return words.pop();
  }

private:
  tests::Queue<Word> words;
};

} // namespace hls
