// SPDX-License-Identifier: Apache-2.0
// A queue of any length that is quick to compile: a generated program has one for each width of its
// streams, and of each std::deque the compiler makes a hundred functions.
#pragma once

#include <cstddef>

namespace tests {

struct Node {
  Node* next = nullptr;
};

/// What is the same for all words.
class Nodes {
public:
  std::size_t size() const { return count; }
  bool empty() const { return count == 0; }

protected:
  void append(Node* node) {
    (count == 0 ? first : last->next) = node;
    last = node;
    ++count;
  }
  Node* take() {
    Node* const node = first;
    first = node->next;
    --count;
    return node;
  }

private:
  Node* first = nullptr;
  Node* last = nullptr;
  std::size_t count = 0;
};

template <class Word>
class Queue : public Nodes {
public:
  Queue() = default;
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;
  ~Queue() {
    while (!empty()) {
      delete static_cast<Holder*>(take());
    }
  }
  void push(const Word& word) {
    Holder* const holder = new Holder;
    holder->word = word;
    append(holder);
  }
  Word pop() {
    Holder* const holder = static_cast<Holder*>(take());
    const Word word = holder->word;
    delete holder;
    return word;
  }

private:
  struct Holder : Node {
    Word word;
  };
};

} // namespace tests
