// SPDX-License-Identifier: Apache-2.0
// hls::stream as hardware has it: of limited depth, each process of a dataflow region on its own.
// When all wait for each other the program ends with status 3.
#pragma once

#include "../queue.hpp"

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

namespace bounded {

inline std::mutex mutex;
inline int running = 1, waiting = 0; // the main thread runs

inline void stop_if_all_wait() {
  if (waiting > 0 && waiting == running) {
    std::fprintf(stderr, "all processes wait for each other\n");
    std::_Exit(3);
  }
}

/// The processes of one dataflow region.
class Region {
public:
  template <class Process>
  void run(Process process) {
    {
      const std::lock_guard lock(mutex);
      ++running;
    }
    threads.emplace_back([process] {
      process();
      finish();
    });
  }
  void join() {
    finish(); // whoever waits here makes nobody go on
    for (std::thread& thread : threads) {
      thread.join();
    }
    const std::lock_guard lock(mutex);
    ++running;
  }

private:
  static void finish() {
    const std::lock_guard lock(mutex);
    --running;
    stop_if_all_wait();
  }
  std::vector<std::thread> threads;
};

} // namespace bounded

namespace hls {

template <class Word>
class stream {
public:
  stream() = default;
  explicit stream(const char*) {}
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;

  void bound(std::size_t depth) { limit = depth; }
  std::size_t size() const { return words.size(); }
  bool empty() const { return words.empty(); }

  /// Room for the only writer; it does not go away.
  void wait_for_room() {
    std::unique_lock lock(bounded::mutex);
    if (words.size() >= limit) {
      wait(lock, writer_waits);
    }
  }
  void write(const Word& word) {
    wait_for_room();
    const std::unique_lock lock(bounded::mutex);
    words.push(word);
    wake(reader_waits);
  }
  Word read() {
    std::unique_lock lock(bounded::mutex);
    if (words.empty()) {
      wait(lock, reader_waits);
    }
    const Word word = words.pop();
    wake(writer_waits);
    return word;
  }

private:
  void wait(std::unique_lock<std::mutex>& lock, bool& waits) {
    waits = true;
    ++bounded::waiting;
    bounded::stop_if_all_wait();
    changed.wait(lock, [&waits] { return !waits; });
  }
  void wake(bool& waits) {
    if (waits) {
      waits = false;
      --bounded::waiting;
      changed.notify_all();
    }
  }
  tests::Queue<Word> words;
  std::size_t limit = ~std::size_t{0};
  bool reader_waits = false, writer_waits = false;
  std::condition_variable changed;
};

} // namespace hls
